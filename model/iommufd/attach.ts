/** What a device is attached to, with all devices of its group: attaching, moving, detaching. Beside drivers/iommu/iommufd/device.c. */
import { opsOf } from "../iommu/ops.ts";
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { type IommufdGroup, NO_PASID } from "./igroup.ts";
import type { AnyHwpt, Ioas, IommufdDevice } from "./objects.ts";
import { rule as pasidRule } from "./pasid.ts";

const source = (name: string) => iommufdSource("device", name);

export const rule = clauses({
  "IOMMUFD-ATTACH-3": {
    ...IOMMUFD,
    rule: "all devices of a group are attached to one hwpt",
    errno: "EINVAL",
    source: source("iommufd_hw_pagetable_attach"),
  },
  "IOMMUFD-ATTACH-4": {
    since: "6.7",
    kconfig: ["IOMMUFD", "IOMMUFD_TEST"],
    machine: "mock",
    rule: "the hwpt must suit the IOMMU that the device is behind: one that tells what was written, an IOMMU that can",
    errno: "EINVAL",
    source: "drivers/iommu/iommu.c:__iommu_attach_group",
  },
  "IOMMUFD-ATTACH-7": {
    ...IOMMUFD,
    rule: "a device that is attached can't be attached once more",
    errno: "EBUSY",
    source: source("iommufd_hw_pagetable_attach"),
    since: "6.15",
    kconfig: ["IOMMUFD", "IOMMUFD_TEST"],
    machine: "mock",
  },
  "IOMMUFD-ATTACH-8": {
    since: "6.18",
    kconfig: ["IOMMUFD", "IOMMUFD_TEST"],
    rule: "an hwpt is of one IOMMU's driver: functions and mocks can't share one",
    errno: "EINVAL",
    source: "drivers/iommu/iommu.c:__iommu_attach_group",
  },
  "IOMMUFD-ATTACH-9": {
    ...IOMMUFD,
    rule: "an hwpt with a fault queue takes only a device whose page faults can wait for an answer",
    errno: "ENODEV",
    source: source("iommufd_hwpt_attach_device"),
    since: "6.13",
  },
  "IOMMUFD-REPLACE-1": {
    ...IOMMUFD,
    rule: "only an attached device can change what it is attached to",
    errno: "EINVAL",
    source: source("iommufd_device_do_replace"),
    since: "6.15",
    kconfig: ["IOMMUFD", "IOMMUFD_TEST"],
    machine: "mock",
  },
  "IOMMUFD-REPLACE-2": {
    ...IOMMUFD,
    rule: "all devices of the group move to the new hwpt",
    source: source("iommufd_device_do_replace"),
    since: "6.6",
    observable: "later-call",
  },
  "IOMMUFD-REPLACE-3": {
    ...IOMMUFD,
    rule: "a device that can't be moved keeps what it reserved where it is",
    source: source("iommufd_device_do_replace"),
    since: "6.6",
    observable: "later-call",
  },
});

export const steps = {
  /** iommufd_hw_pagetable_attach. The first device of a group takes the group along. Only the group itself reserves anything. */
  *attachHwpt(k: Kernel, device: IommufdDevice, hwpt: AnyHwpt, pasid: number): Operation<null> {
    const { igroup } = device;
    using _ = yield* k.lock(igroup.lock);
    const { attachments } = igroup;
    const attachment = attachments.get(pasid);
    const own = pasid === NO_PASID;
    must(!attachment?.devices.includes(device), own ? rule["IOMMUFD-ATTACH-7"] : pasidRule["IOMMUFD-PASID-4"]);
    must(!attachment || attachment.hwpt === hwpt, rule["IOMMUFD-ATTACH-3"]);
    if (own) yield* k.ioas.reserve(k, hwpt.paging.ioas, device.device);
    if (attachment) attachment.devices.push(device);
    else {
      try {
        yield* k.iommufdDevice.attachGroup(k, device, hwpt, pasid);
      } catch (refusal) {
        if (own) yield* k.ioas.unreserve(k, hwpt.paging.ioas, device.device);
        throw refusal;
      }
      attachments.set(pasid, { hwpt, devices: [device] });
    }
    hwpt.users++;
    return null;
  },

  /** iommufd_hwpt_attach_device and iommufd_hwpt_replace_device: the IOMMU's driver looks whether the table suits it. */
  *attachGroup(k: Kernel, device: IommufdDevice, hwpt: AnyHwpt, pasid: number): Operation<void> {
    k.iommufdDevice.checkForPasids(device.igroup, hwpt, pasid);
    k.alloc();
    using _ = yield* k.lock(device.igroup.group.mutex);
    const { iommuDriver } = device.device;
    if (pasid !== NO_PASID) {
      must(hwpt.driver === iommuDriver, pasidRule["IOMMUFD-PASID-6"]);
      k.iommufdDevice.setPasid(k, device, hwpt, pasid);
      return;
    }
    const ops = opsOf(device.device);
    must(hwpt.driver === iommuDriver, rule["IOMMUFD-ATTACH-8"]);
    must(ops.suits(device.device, hwpt), rule["IOMMUFD-ATTACH-4"]);
    const virtualId = k.iommufdDevice.virtualIdFor(device, hwpt);
    must(hwpt.fault === null || ops.answersFaults, rule["IOMMUFD-ATTACH-9"]);
    k.iommu.attach(device.igroup.group, hwpt);
    k.selftest.noteViommu(device, hwpt, virtualId);
  },

  /** iommufd_device_do_replace: moves the whole group. The hwpt that it left, with one use for the caller to drop. */
  *replaceHwpt(k: Kernel, device: IommufdDevice, hwpt: AnyHwpt, pasid: number): Operation<AnyHwpt | null> {
    const { igroup } = device;
    using _ = yield* k.lock(igroup.lock);
    const attachment = igroup.attachments.get(pasid);
    const own = pasid === NO_PASID;
    const missing = own ? rule["IOMMUFD-REPLACE-1"] : pasidRule["IOMMUFD-PASID-5"];
    must(attachment?.devices.includes(device) === true, missing);
    const { hwpt: old, devices } = attachment;
    if (old === hwpt) return null;
    const moves = own && hwpt.paging.ioas !== old.paging.ioas;
    try {
      if (moves) for (const member of devices) yield* k.ioas.reserve(k, hwpt.paging.ioas, member.device);
      yield* k.iommufdDevice.attachGroup(k, device, hwpt, pasid);
    } catch (refusal) {
      if (own) yield* k.iommufdDevice.stayReserved(k, igroup, hwpt.paging.ioas, moves);
      throw refusal;
    }
    k.iommufdDevice.answerLeft(k, old, igroup, pasid);
    if (moves) for (const member of devices) yield* k.ioas.unreserve(k, old.paging.ioas, member.device);
    attachment.hwpt = hwpt;
    hwpt.users += devices.length;
    old.users -= devices.length - 1;
    k.keeps(own ? rule["IOMMUFD-REPLACE-2"] : pasidRule["IOMMUFD-PASID-11"]);
    return old;
  },

  /** The end of a move that was refused: the devices leave nothing behind where they did not get to. */
  *stayReserved(k: Kernel, igroup: IommufdGroup, ioas: Ioas, moves: boolean): Operation<void> {
    if (moves) for (const member of igroup.attached) yield* k.ioas.unreserve(k, ioas, member.device);
    k.keeps(rule["IOMMUFD-REPLACE-3"]);
  },

  /** iommufd_hw_pagetable_detach: the hwpt that the device was attached to, for the caller to put; null where it was not. */
  *detachHwpt(k: Kernel, device: IommufdDevice, pasid: number): Operation<AnyHwpt | null> {
    const { igroup } = device;
    using _ = yield* k.lock(igroup.lock);
    const attachment = igroup.attachments.get(pasid);
    if (!attachment) return null;
    const { hwpt, devices } = attachment;
    devices.splice(devices.indexOf(device), 1);
    if (devices.length === 0) {
      using _group = yield* k.lock(igroup.group.mutex);
      igroup.attachments.delete(pasid);
      k.iommufdDevice.answerLeft(k, hwpt, igroup, pasid);
      if (pasid === NO_PASID) {
        k.iommu.setCoreDomain(k, igroup.group);
        k.selftest.noteViommu(device, null, null);
      } else k.selftest.clearPasid(device, pasid);
    }
    if (pasid === NO_PASID) yield* k.ioas.unreserve(k, hwpt.paging.ioas, device.device);
    return hwpt;
  },
};
