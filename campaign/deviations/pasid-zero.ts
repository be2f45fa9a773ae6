/**
 * PASID 0 is the device's own number for iommufd, which VFIO does not look for: attached as a PASID, it attaches the device
 * behind the back of the plain attach and detach.
 */
import { must } from "../../model/kernel/clause.ts";
import type { VfioDevice } from "../../model/vfio/device.ts";
import { PT_ID, rule } from "../../model/vfio/device-cdev-attach.ts";
import type { Deviation } from "./deviation.ts";

export const pasidZero: Deviation = {
  id: "pasid-zero",
  title:
    "VFIO_DEVICE_ATTACH_IOMMUFD_PT of PASID 0 attaches the device itself: plain attaches are refused with EBUSY, a plain detach does nothing, and after EFAULT it stays attached",
  clause: "VFIO-CDEV-ATTACH-7",
  since: "6.15",
  source: "drivers/vfio/iommufd.c:vfio_iommufd_physical_pasid_attach_ioas",
  upstream: "searched, none found",
  evidence: "pasid-zero",
  apply(k, fired) {
    /** Devices that are attached as PASID 0. */
    const attached = new WeakSet<VfioDevice>();
    const right = { ...k.deviceCdev, unbind: k.vfioIommufd.unbind };
    k.deviceCdev = {
      ...k.deviceCdev,
      *attachPasid(kernel, device, pasid, block) {
        const { iommufdDevice } = device;
        if (pasid !== 0 || !iommufdDevice) return yield* right.attachPasid(kernel, device, pasid, block);
        fired();
        const site = { at: "field", offset: PT_ID, width: 4 } as const;
        const id = attached.has(device)
          ? yield* kernel.iommufdDevice.replaceDevice(kernel, iommufdDevice, block.u32(PT_ID), site)
          : yield* kernel.iommufdDevice.attachDevice(kernel, iommufdDevice, block.u32(PT_ID), site);
        attached.add(device);
        must(block.canWrite(PT_ID + 4), rule["VFIO-CDEV-ATTACH-5"]);
        block.put(PT_ID, 4, id, rule["VFIO-CDEV-ATTACH-5"]);
        return 0;
      },
      *detachPasid(kernel, device, pasid) {
        if (pasid !== 0 || !attached.has(device) || !device.iommufdDevice) {
          return yield* right.detachPasid(kernel, device, pasid);
        }
        attached.delete(device);
        yield* kernel.iommufdDevice.detachDevice(kernel, device.iommufdDevice);
      },
    };
    k.vfioIommufd = {
      ...k.vfioIommufd,
      *unbind(kernel, device) {
        if (attached.has(device)) yield* kernel.deviceCdev.detachPasid(kernel, device, 0);
        yield* right.unbind(kernel, device);
      },
    };
  },
};
