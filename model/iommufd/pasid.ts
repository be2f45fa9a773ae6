/** PASIDs of a device: what they can be attached to. Beside drivers/iommu/iommufd/device.c and drivers/iommu/iommu.c. */
import { opsOf } from "../iommu/ops.ts";
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { type IommufdGroup, NO_PASID } from "./igroup.ts";
import type { AnyHwpt, IommufdDevice } from "./objects.ts";

const source = (name: string) => iommufdSource("device", name);
const PASID = { ...IOMMUFD, since: "6.15" } as const;
/** What takes a device that has PASIDs: among the suite's, only mocks do. */
const MOCK = { since: "6.15", kconfig: ["IOMMUFD", "IOMMUFD_TEST"], machine: "mock" } as const;
const HEADER = "include/uapi/linux/iommufd.h:iommufd_hwpt_alloc_flags";

export const rule = clauses({
  "IOMMUFD-PASID-1": {
    ...PASID,
    rule: "a PASID takes only an hwpt that was made for PASIDs, which none is that an attach makes",
    errno: "EINVAL",
    source: source("iommufd_hwpt_pasid_compat"),
  },
  "IOMMUFD-PASID-2": {
    ...PASID,
    rule: "pt_id must be the id of an object",
    errno: "ENOENT",
    source: source("iommufd_device_change_pt"),
  },
  "IOMMUFD-PASID-3": {
    ...PASID,
    rule: "pt_id must be the id of an IOAS or an hwpt",
    errno: "EINVAL",
    source: source("iommufd_device_change_pt"),
  },
  "IOMMUFD-PASID-4": {
    ...MOCK,
    rule: "a PASID that is attached can't be attached once more, also to what it is attached to",
    errno: "EBUSY",
    source: source("iommufd_hw_pagetable_attach"),
  },
  "IOMMUFD-PASID-5": {
    ...MOCK,
    rule: "only a PASID that is attached can change what it is attached to",
    errno: "EINVAL",
    source: source("iommufd_device_do_replace"),
  },
  "IOMMUFD-PASID-6": {
    since: "6.18",
    kconfig: ["IOMMUFD", "IOMMUFD_TEST"],
    rule: "a PASID and its hwpt are of one IOMMU's driver",
    errno: "EINVAL",
    source: "drivers/iommu/iommu.c:iommu_attach_device_pasid",
  },
  "IOMMUFD-PASID-7": {
    ...PASID,
    rule: "a PASID is one that the device has",
    errno: "EINVAL",
    source: "drivers/iommu/iommu.c:iommu_attach_device_pasid",
  },
  "IOMMUFD-PASID-8": {
    ...MOCK,
    rule: "while PASIDs are attached, their device takes only an hwpt that was made for PASIDs",
    errno: "EINVAL",
    source: HEADER,
  },
  "IOMMUFD-PASID-9": {
    ...PASID,
    rule: "a PASID can't be attached while its device is attached to an hwpt that was not made for PASIDs",
    errno: "EINVAL",
    source: HEADER,
  },
  "IOMMUFD-PASID-10": {
    ...MOCK,
    rule: "the hwpt must suit the IOMMU: one that tells what was written, an IOMMU that can",
    errno: "EINVAL",
    source: "include/uapi/linux/iommufd.h:IOMMU_HWPT_ALLOC_DIRTY_TRACKING",
  },
  "IOMMUFD-PASID-11": {
    ...MOCK,
    rule: "a PASID moves to another hwpt at once, and the device stays where it is",
    source: source("iommufd_device_do_replace"),
    observable: "later-call",
  },
});

export const steps = {
  /** iommufd_hwpt_pasid_compat: with PASIDs, everything that a group is attached to was made for PASIDs. */
  checkForPasids(igroup: IommufdGroup, { forPasids }: AnyHwpt, pasid: number): void {
    if (pasid === NO_PASID) {
      must(forPasids || !igroup.hasPasids, rule["IOMMUFD-PASID-8"]);
      return;
    }
    must(forPasids, rule["IOMMUFD-PASID-1"]);
    must(igroup.hwpt === null || igroup.hwpt.forPasids, rule["IOMMUFD-PASID-9"]);
  },

  /** iommu_attach_device_pasid and iommu_replace_device_pasid, under the group's mutex. */
  setPasid(k: Kernel, device: IommufdDevice, hwpt: AnyHwpt, pasid: number): void {
    must(k.iommufdDevice.hasPasid(device, pasid), rule["IOMMUFD-PASID-7"]);
    const ops = opsOf(device.device);
    must(k.iommufdDevice.suitsPasid(device, hwpt), rule["IOMMUFD-PASID-10"]);
    if (hwpt.fault !== null && !ops.answersFaults) throw new Error("no function with PASIDs is modelled");
    k.selftest.takePasid(device, pasid);
  },

  /** Whether a device can send with a PASID. */
  hasPasid({ device }: IommufdDevice, pasid: number): boolean {
    return pasid < (device.pasidBits === 0 ? 0 : 2 ** device.pasidBits);
  },

  /** set_dev_pasid of the IOMMU's driver: whether the table suits the device. */
  suitsPasid({ device }: IommufdDevice, hwpt: AnyHwpt): boolean {
    return opsOf(device).suits(device, hwpt);
  },
};
