/** PASIDs: devices that have none, page tables that do not suit, and mocks that go while theirs are attached. */
import { type Deviation, Ruined } from "./deviation.ts";

export const pasidOfNone: Deviation = {
  id: "pasid-of-none",
  title:
    "a device without PASIDs takes any PASID, and nothing is attached; where VFIO_DEVICE_ATTACH_IOMMUFD_PT can't say so, the PASID stays and the device itself is detached",
  clause: "IOMMUFD-PASID-7",
  since: "6.16",
  source: "drivers/iommu/iommu.c:iommu_attach_device_pasid",
  upstream:
    "since iommu: Skip PASID validation for devices without PASID capability, which is about others of the group",
  evidence: "pasid-of-none",
  apply(k, fired) {
    const { setPasid } = k.iommufdDevice;
    const { undoAttachPasid } = k.deviceCdev;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      setPasid(kernel, device, hwpt, pasid) {
        // Mocks without PASIDs are said to have one, which is no PASID.
        const { pasidBits, iommuDriver } = device.device;
        if (pasidBits > 0 || iommuDriver === "mock") return setPasid(kernel, device, hwpt, pasid);
        fired();
      },
    };
    k.deviceCdev = {
      ...k.deviceCdev,
      *undoAttachPasid(kernel, device, pasid, before) {
        if (pasid === 0) return yield* undoAttachPasid(kernel, device, pasid, before);
        yield* kernel.vfioIommufd.detach(kernel, device);
      },
    };
  },
};

export const pasidDirtyUnenforced: Deviation = {
  id: "pasid-dirty-unenforced",
  title: "the selftests' mock takes a page table that tells what was written for a PASID of a device that can't",
  clause: "IOMMUFD-PASID-10",
  since: "6.15",
  source: "drivers/iommu/iommufd/selftest.c:mock_domain_set_dev_pasid_nop",
  upstream: "searched, none found",
  evidence: "pasid-dirty-unenforced",
  apply(k, fired) {
    const { suitsPasid } = k.iommufdDevice;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      suitsPasid(device, hwpt) {
        const suits = suitsPasid(device, hwpt);
        if (!suits) fired();
        return true;
      },
    };
  },
};

export const mockLeavesPasids: Deviation = {
  id: "mock-leaves-pasids",
  title:
    "a mock that goes while a PASID of it is attached is freed, and its device stays behind for good with all that it uses; the kernel warns",
  clause: "IOMMUFD-MOCK-5",
  since: "6.15",
  source: "drivers/iommu/iommufd/selftest.c:iommufd_selftest_destroy",
  upstream: "searched, none found",
  evidence: "mock-leaves-pasids",
  destructive: true,
  apply(k) {
    const { removeObject } = k.iommufd;
    k.iommufd = {
      ...k.iommufd,
      *removeObject(kernel, context, object) {
        if (object.kind === "selftest" && object.device.igroup.hasPasids) {
          throw new Ruined("a mock that goes before its PASIDs", "mock-leaves-pasids");
        }
        yield* removeObject(kernel, context, object);
      },
    };
  },
};
