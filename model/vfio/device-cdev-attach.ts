/** Attaching a device to page tables of its iommufd. Beside drivers/vfio/device_cdev.c:vfio_df_ioctl_attach_pt. */
import { type Clause, clauses, must, refuse } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { field, fieldOf, type Layout, layout, offsetOfEnd } from "../uapi/layout.ts";
import type { DeviceFile, VfioDevice } from "./device.ts";

const source = (name: string) => `drivers/vfio/device_cdev.c:${name}`;
const cdev = { since: "6.6", kconfig: ["VFIO_DEVICE_CDEV"] } as const;

export const rule = clauses({
  "VFIO-CDEV-ATTACH-1": {
    ...cdev,
    rule: "the struct must be readable",
    errno: "EFAULT",
    source: source("vfio_df_ioctl_attach_pt"),
  },
  "VFIO-CDEV-ATTACH-2": {
    ...cdev,
    rule: "argsz must cover the fields that the flags ask for",
    errno: "EINVAL",
    source: source("vfio_df_ioctl_attach_pt"),
  },
  "VFIO-CDEV-ATTACH-3": {
    ...cdev,
    rule: "unknown flags are refused",
    errno: "EINVAL",
    source: source("vfio_df_ioctl_attach_pt"),
  },
  "VFIO-CDEV-ATTACH-4": {
    ...cdev,
    since: "6.15",
    rule: "a PASID needs a device whose driver takes one",
    errno: "EOPNOTSUPP",
    source: source("vfio_df_ioctl_attach_pt"),
  },
  "VFIO-CDEV-ATTACH-5": {
    ...cdev,
    rule: "pt_id must be writable; otherwise the device stays attached to what it was",
    errno: "EFAULT",
    source: source("vfio_df_ioctl_attach_pt"),
  },
  "VFIO-CDEV-ATTACH-6": {
    ...cdev,
    rule: "pt_id brings the page table that the device really uses; attached again it is moved",
    source: "include/uapi/linux/vfio.h:VFIO_DEVICE_ATTACH_IOMMUFD_PT",
    observable: "output",
  },
  "VFIO-CDEV-ATTACH-7": {
    ...cdev,
    since: "6.15",
    rule: "PASID 0 stands for the device itself: it can't be attached as a PASID",
    errno: "EINVAL",
    source: "drivers/iommu/iommu.c:iommu_attach_device_pasid",
  },
  "VFIO-CDEV-ATTACH-8": {
    ...cdev,
    since: "6.15",
    rule: "a PASID that is negative as a signed number is refused",
    errno: "ENOSPC",
    source: "drivers/vfio/iommufd.c:vfio_iommufd_physical_pasid_attach_ioas",
  },
  "VFIO-CDEV-ATTACH-9": {
    ...cdev,
    since: "6.15",
    rule: "a device with access is bound; a PASID of one that were not would be refused",
    errno: "EINVAL",
    source: "drivers/vfio/iommufd.c:vfio_iommufd_physical_pasid_attach_ioas",
    observable: "internal",
    unseen: "every device whose node has access is bound",
  },
  "VFIO-CDEV-DETACH-6": {
    ...cdev,
    since: "6.15",
    rule: "a PASID that is not attached is left as it is, whatever its number",
    source: "drivers/vfio/iommufd.c:vfio_iommufd_physical_pasid_detach_ioas",
    observable: "later-call",
  },
  "VFIO-CDEV-DETACH-1": {
    ...cdev,
    rule: "the struct must be readable",
    errno: "EFAULT",
    source: source("vfio_df_ioctl_detach_pt"),
  },
  "VFIO-CDEV-DETACH-2": {
    ...cdev,
    rule: "argsz must cover the fields that the flags ask for",
    errno: "EINVAL",
    source: source("vfio_df_ioctl_detach_pt"),
  },
  "VFIO-CDEV-DETACH-3": {
    ...cdev,
    rule: "unknown flags are refused",
    errno: "EINVAL",
    source: source("vfio_df_ioctl_detach_pt"),
  },
  "VFIO-CDEV-DETACH-4": {
    ...cdev,
    since: "6.15",
    rule: "a PASID needs a device whose driver takes one",
    errno: "EOPNOTSUPP",
    source: source("vfio_df_ioctl_detach_pt"),
  },
  "VFIO-CDEV-DETACH-5": {
    ...cdev,
    rule: "a device that is not attached is left as it is",
    source: "include/uapi/linux/vfio.h:VFIO_DEVICE_DETACH_IOMMUFD_PT",
    observable: "later-call",
  },
});

const FLAG_PASID = 1;

const AttachPt = layout("vfio_device_attach_iommufd_pt", {
  argsz: field.argsz(),
  flags: field.flags({ VFIO_DEVICE_ATTACH_PASID: FLAG_PASID }),
  pt_id: field.id("ioas", "hwpt"),
  pasid: field.later(field.value32(1, 0)),
});

/** Where the page table's id is in the struct. */
export const PT_ID = fieldOf(AttachPt, "pt_id").offset;

export const attachIommufdPt = ioctl<DeviceFile>({
  name: "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
  request: vfioRequest(119),
  argument: { kind: "struct", layout: AttachPt },
  on: ["device"],
  since: "6.6",
  weight: 2,
  useful: (_k, file) => file.group === null && file.accessGranted,
  *run(k, file, { block }): Operation<number> {
    const minsz = offsetOfEnd(AttachPt, "pt_id");
    block.copyFrom(minsz, rule["VFIO-CDEV-ATTACH-1"]);
    const pasid = k.deviceCdev.checkPasid(k, block, AttachPt, {
      fault: rule["VFIO-CDEV-ATTACH-1"],
      size: rule["VFIO-CDEV-ATTACH-2"],
      flags: rule["VFIO-CDEV-ATTACH-3"],
      unsupported: rule["VFIO-CDEV-ATTACH-4"],
      minsz,
      takesPasids: file.device.takesPasids,
    });
    using _ = yield* k.lock(file.device.devSet.lock);
    if (pasid !== null) return yield* k.deviceCdev.attachPasid(k, file.device, pasid, block);
    const before = k.vfioIommufd.attachedTo(file.device);
    const id = yield* k.vfioIommufd.attach(k, file.device, block.u32(PT_ID), { at: "field", offset: PT_ID, width: 4 });
    if (!block.canWrite(minsz)) yield* k.deviceCdev.undoAttach(k, file.device, before);
    block.put(PT_ID, 4, id, rule["VFIO-CDEV-ATTACH-5"]);
    k.keeps(rule["VFIO-CDEV-ATTACH-6"]);
    return 0;
  },
});

const DetachPt = layout("vfio_device_detach_iommufd_pt", {
  argsz: field.argsz(),
  flags: field.flags({ VFIO_DEVICE_DETACH_PASID: FLAG_PASID }),
  pasid: field.later(field.value32(1, 0)),
});

export const detachIommufdPt = ioctl<DeviceFile>({
  name: "VFIO_DEVICE_DETACH_IOMMUFD_PT",
  request: vfioRequest(120),
  argument: { kind: "struct", layout: DetachPt },
  on: ["device"],
  since: "6.6",
  useful: (_k, file) => file.group === null && file.accessGranted,
  *run(k, file, { block }): Operation<number> {
    const minsz = offsetOfEnd(DetachPt, "flags");
    block.copyFrom(minsz, rule["VFIO-CDEV-DETACH-1"]);
    const pasid = k.deviceCdev.checkPasid(k, block, DetachPt, {
      fault: rule["VFIO-CDEV-DETACH-1"],
      size: rule["VFIO-CDEV-DETACH-2"],
      flags: rule["VFIO-CDEV-DETACH-3"],
      unsupported: rule["VFIO-CDEV-DETACH-4"],
      minsz,
      takesPasids: file.device.takesPasids,
    });
    using _ = yield* k.lock(file.device.devSet.lock);
    if (pasid !== null) {
      yield* k.deviceCdev.detachPasid(k, file.device, pasid);
      return 0;
    }
    yield* k.vfioIommufd.detach(k, file.device);
    k.keeps(rule["VFIO-CDEV-DETACH-5"]);
    return 0;
  },
});

interface PasidChecks {
  readonly fault: Clause;
  readonly size: Clause;
  readonly flags: Clause;
  readonly unsupported: Clause;
  /** Bytes up to and without pasid. */
  readonly minsz: number;
  readonly takesPasids: boolean;
}

export const attachSteps = {
  /** What ATTACH and DETACH share: argsz, flags, and the PASID that came with 6.15; null where none is asked for. */
  checkPasid(k: Kernel, block: UserBlock, layout: Layout, check: PasidChecks): number | null {
    must(block.u32(0) >= check.minsz, check.size);
    const flags = block.u32(4);
    must((flags & ~(k.since("6.15") ? FLAG_PASID : 0)) === 0, check.flags);
    if (!(flags & FLAG_PASID)) return null;
    must(check.takesPasids, check.unsupported);
    must(block.u32(0) >= layout.size, check.size);
    block.copyFrom(layout.size, check.fault);
    return block.get(layout, "pasid");
  },

  /** vfio_iommufd_physical_pasid_attach_ioas */
  *attachPasid(k: Kernel, device: VfioDevice, pasid: number, block: UserBlock): Operation<number> {
    must(device.iommufdDevice !== null || device.iommufdAccess !== null, rule["VFIO-CDEV-ATTACH-9"]);
    must(pasid !== 0, rule["VFIO-CDEV-ATTACH-7"]);
    must(pasid < 2 ** 31, rule["VFIO-CDEV-ATTACH-8"]);
    const before = k.vfioIommufd.pasidAttachedTo(device, pasid);
    const site = { at: "field", offset: PT_ID, width: 4 } as const;
    const id = yield* k.vfioIommufd.attachPasid(k, device, pasid, block.u32(PT_ID), site);
    if (!block.canWrite(PT_ID + 4)) yield* k.deviceCdev.undoAttachPasid(k, device, pasid, before);
    block.put(PT_ID, 4, id, rule["VFIO-CDEV-ATTACH-5"]);
    k.keeps(rule["VFIO-CDEV-ATTACH-6"]);
    return 0;
  },

  /** ATTACH could not tell the caller what it did to a PASID: that goes back to what it was attached to. */
  *undoAttachPasid(k: Kernel, device: VfioDevice, pasid: number, before: number | null): Operation<void> {
    if (before === null) yield* k.vfioIommufd.detachPasid(k, device, pasid);
    else yield* k.vfioIommufd.attachPasid(k, device, pasid, before, null);
  },

  /** vfio_iommufd_physical_pasid_detach_ioas */
  *detachPasid(k: Kernel, device: VfioDevice, pasid: number): Operation<void> {
    yield* k.vfioIommufd.detachPasid(k, device, pasid);
    k.keeps(rule["VFIO-CDEV-DETACH-6"]);
  },

  /** ATTACH could not tell the caller what it did: the device goes back to what it was attached to. */
  *undoAttach(k: Kernel, device: VfioDevice, before: number | null): Operation<never> {
    if (before === null) yield* k.vfioIommufd.detach(k, device);
    else yield* k.vfioIommufd.attach(k, device, before, null);
    return refuse(rule["VFIO-CDEV-ATTACH-5"]);
  },
};
