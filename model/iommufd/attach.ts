/** What a device is attached to, with all devices of its group: attaching, moving, detaching. Beside drivers/iommu/iommufd/device.c. */
import { opsOf } from "../iommu/ops.ts";
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { AnyHwpt, Ioas, IommufdDevice, IommufdGroup } from "./objects.ts";

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
    observable: "internal",
    unseen: "VFIO remembers what it has attached, and replaces that",
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
    since: "6.6",
    unseen: "VFIO changes what a device is attached to only while it is attached",
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
  /** iommufd_hw_pagetable_attach. The first device of a group takes the group along. */
  *attachHwpt(k: Kernel, device: IommufdDevice, hwpt: AnyHwpt): Operation<null> {
    const { igroup } = device;
    using _ = yield* k.lock(igroup.lock);
    must(!igroup.attached.includes(device), rule["IOMMUFD-ATTACH-7"]);
    must(igroup.hwpt === null || igroup.hwpt === hwpt, rule["IOMMUFD-ATTACH-3"]);
    yield* k.ioas.reserve(k, hwpt.paging.ioas, device.device);
    if (igroup.attached.length === 0) {
      try {
        yield* k.iommufdDevice.attachGroup(k, device, hwpt);
      } catch (refusal) {
        yield* k.ioas.unreserve(k, hwpt.paging.ioas, device.device);
        throw refusal;
      }
      igroup.hwpt = hwpt;
    }
    hwpt.users++;
    igroup.attached.push(device);
    return null;
  },

  /** iommu_attach_group_handle and iommu_replace_group_handle: the IOMMU's driver looks whether the table suits it. */
  *attachGroup(k: Kernel, device: IommufdDevice, hwpt: AnyHwpt): Operation<void> {
    k.alloc();
    using _ = yield* k.lock(device.igroup.group.mutex);
    const { iommuDriver } = device.device;
    const ops = opsOf(device.device);
    must(hwpt.driver === iommuDriver, rule["IOMMUFD-ATTACH-8"]);
    must(ops.suits(device.device, hwpt), rule["IOMMUFD-ATTACH-4"]);
    const virtualId = k.iommufdDevice.virtualIdFor(device, hwpt);
    must(hwpt.fault === null || ops.answersFaults, rule["IOMMUFD-ATTACH-9"]);
    k.selftest.noteViommu(device, hwpt, virtualId);
  },

  /** iommufd_device_do_replace: moves the whole group. The hwpt that it left, with one use for the caller to drop. */
  *replaceHwpt(k: Kernel, device: IommufdDevice, hwpt: AnyHwpt): Operation<AnyHwpt | null> {
    const { igroup } = device;
    using _ = yield* k.lock(igroup.lock);
    const old = igroup.hwpt;
    must(old !== null && igroup.attached.includes(device), rule["IOMMUFD-REPLACE-1"]);
    if (old === hwpt) return null;
    const moves = hwpt.paging.ioas !== old.paging.ioas;
    try {
      if (moves) for (const member of igroup.attached) yield* k.ioas.reserve(k, hwpt.paging.ioas, member.device);
      yield* k.iommufdDevice.attachGroup(k, device, hwpt);
    } catch (refusal) {
      yield* k.iommufdDevice.stayReserved(k, igroup, hwpt.paging.ioas, moves);
      throw refusal;
    }
    k.iommufdDevice.answerLeft(k, old, igroup);
    if (moves) for (const member of igroup.attached) yield* k.ioas.unreserve(k, old.paging.ioas, member.device);
    igroup.hwpt = hwpt;
    hwpt.users += igroup.attached.length;
    old.users -= igroup.attached.length - 1;
    k.keeps(rule["IOMMUFD-REPLACE-2"]);
    return old;
  },

  /** The end of a move that was refused: the devices leave nothing behind where they did not get to. */
  *stayReserved(k: Kernel, igroup: IommufdGroup, ioas: Ioas, moves: boolean): Operation<void> {
    if (moves) for (const member of igroup.attached) yield* k.ioas.unreserve(k, ioas, member.device);
    k.keeps(rule["IOMMUFD-REPLACE-3"]);
  },

  /** iommufd_hw_pagetable_detach: the hwpt that the device was attached to, for the caller to put. */
  *detachHwpt(k: Kernel, device: IommufdDevice): Operation<AnyHwpt> {
    const { igroup } = device;
    using _ = yield* k.lock(igroup.lock);
    const { hwpt } = igroup;
    if (!hwpt) throw new Error("a device that is not attached can't be detached");
    igroup.attached.splice(igroup.attached.indexOf(device), 1);
    if (igroup.attached.length === 0) {
      using _group = yield* k.lock(igroup.group.mutex);
      igroup.hwpt = null;
      k.iommufdDevice.answerLeft(k, hwpt, igroup);
      k.selftest.noteViommu(device, null, null);
    }
    yield* k.ioas.unreserve(k, hwpt.paging.ioas, device.device);
    return hwpt;
  },
};
