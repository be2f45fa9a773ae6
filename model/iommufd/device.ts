/** Physical devices: binding them to a context, attaching them to page tables. Beside drivers/iommu/iommufd/device.c. */
import type { IommuDevice } from "../iommu/device.ts";
import { clauses, must, Refusal, refuse } from "../kernel/clause.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { ERRNO } from "../uapi/errno.ts";
import { steps as access } from "./access.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { steps as hwPagetable } from "./hw-pagetable.ts";
import { type Hwpt, type Ioas, type IommufdContext, IommufdDevice, IommufdGroup } from "./objects.ts";
import { steps as pasid } from "./pasid.ts";

const source = (name: string) => iommufdSource("device", name);

export const rule = clauses({
  "IOMMUFD-BIND-1": {
    ...IOMMUFD,
    rule: "only a device behind an IOMMU that keeps DMA coherent with the caches can be bound",
    errno: "EINVAL",
    source: source("iommufd_device_bind"),
    unseen: "every IOMMU of the suite's machines keeps DMA coherent, and without one there is nothing to bind",
  },
  "IOMMUFD-BIND-2": {
    ...IOMMUFD,
    rule: "the context owns the DMA of a bound device's group, and lives as long as the device is bound",
    source: source("iommufd_device_bind"),
    observable: "later-call",
  },
  "IOMMUFD-UNBIND-1": {
    ...IOMMUFD,
    rule: "the id of a device that is no longer bound names nothing, and nobody owns the DMA of a group without such devices",
    source: source("iommufd_device_unbind"),
    observable: "later-call",
  },
  "IOMMUFD-ATTACH-1": {
    ...IOMMUFD,
    rule: "pt_id must be the id of an object",
    errno: "ENOENT",
    source: source("iommufd_device_change_pt"),
  },
  "IOMMUFD-ATTACH-2": {
    ...IOMMUFD,
    rule: "pt_id must be the id of an IOAS or an hwpt",
    errno: "EINVAL",
    source: source("iommufd_device_change_pt"),
  },
  "IOMMUFD-ATTACH-3": {
    ...IOMMUFD,
    rule: "all devices of a group are attached to one hwpt",
    errno: "EINVAL",
    source: source("iommufd_hw_pagetable_attach"),
  },
  "IOMMUFD-ATTACH-4": {
    ...IOMMUFD,
    rule: "the hwpt must suit the IOMMU that the device is behind",
    errno: "EINVAL",
    source: "drivers/iommu/iommu.c:__iommu_attach_group",
    unseen: "every IOMMU of the suite's machines translates the same bits",
  },
  "IOMMUFD-ATTACH-8": {
    since: "6.18",
    kconfig: ["IOMMUFD", "IOMMUFD_TEST"],
    rule: "an hwpt is of one IOMMU's driver: functions and mocks can't share one",
    errno: "EINVAL",
    source: "drivers/iommu/iommu.c:__iommu_attach_group",
  },
  "IOMMUFD-ATTACH-5": {
    ...IOMMUFD,
    rule: "attaching to an IOAS brings the id of an hwpt, the same for all devices that can share it",
    source: source("iommufd_device_auto_get_domain"),
    observable: "output",
  },
  "IOMMUFD-ATTACH-6": {
    ...IOMMUFD,
    rule: "attaching to an hwpt brings its own id",
    source: source("iommufd_device_change_pt"),
    observable: "output",
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
  "IOMMUFD-DETACH-1": {
    ...IOMMUFD,
    rule: "an hwpt that an attach made goes with its last device, and what it and the device reserved is free again",
    source: source("iommufd_device_detach"),
    observable: "later-call",
  },
});

export const steps = {
  ...access,
  ...hwPagetable,
  ...pasid,

  /** iommufd_device_bind; `site` is where the caller gets the id, null when it does not. */
  *bindDevice(
    k: Kernel,
    context: IommufdContext,
    bound: IommuDevice,
    site: ChoiceSite | null,
  ): Operation<IommufdDevice> {
    must(bound.cacheCoherent, rule["IOMMUFD-BIND-1"]);
    const group = bound.requireGroup();
    k.alloc();
    yield* k.iommu.claimDevice(k, group, context);
    try {
      k.alloc();
    } catch (refusal) {
      yield* k.iommu.release(k, group);
      throw refusal;
    }
    let igroup = context.groups.get(group);
    if (!igroup) {
      igroup = new IommufdGroup(group);
      context.groups.set(group, igroup);
    }
    igroup.bound++;
    const device = new IommufdDevice(context, bound, igroup);
    // A mock lives in its context, and so can't keep it alive.
    if (bound.iommuDriver !== "mock") context.refs++;
    context.publish(device, k.iommufd.chooseId(k, context, site));
    k.keeps(rule["IOMMUFD-BIND-2"]);
    return device;
  },

  /** iommufd_device_unbind; the driver has detached the device before. */
  *unbindDevice(k: Kernel, device: IommufdDevice): Operation<void> {
    const { context, igroup } = device;
    context.remove(device);
    yield* k.iommu.release(k, igroup.group);
    igroup.bound--;
    if (igroup.bound === 0) context.groups.delete(igroup.group);
    if (device.device.iommuDriver !== "mock") k.iommufd.put(k, context);
    k.keeps(rule["IOMMUFD-UNBIND-1"]);
  },

  /** iommufd_device_attach: the id of the hwpt. `site` is where the caller gets it. */
  *attachDevice(k: Kernel, device: IommufdDevice, ptId: number, site: ChoiceSite | null): Operation<number> {
    const id = yield* k.iommufdDevice.changePt(k, device, ptId, site, k.iommufdDevice.attachHwpt);
    device.users++;
    return id;
  },

  /** iommufd_device_replace: the id of the hwpt. When it is refused, the device stays attached as it was. */
  *replaceDevice(k: Kernel, device: IommufdDevice, ptId: number, site: ChoiceSite | null): Operation<number> {
    return yield* k.iommufdDevice.changePt(k, device, ptId, site, k.iommufdDevice.replaceHwpt);
  },

  /** iommufd_device_detach */
  *detachDevice(k: Kernel, device: IommufdDevice): Operation<void> {
    const hwpt = yield* k.iommufdDevice.detachHwpt(k, device);
    yield* k.iommufdDevice.putHwpt(k, hwpt);
    device.users--;
    k.keeps(rule["IOMMUFD-DETACH-1"]);
  },

  /** iommufd_device_change_pt */
  *changePt(
    k: Kernel,
    device: IommufdDevice,
    ptId: number,
    site: ChoiceSite | null,
    attach: AttachHwpt,
  ): Operation<number> {
    let id = ptId;
    let left: Hwpt | null;
    {
      using pt = device.context.get(ptId)?.hold();
      must(pt !== undefined, rule["IOMMUFD-ATTACH-1"]);
      if (pt.kind === "hwpt") {
        left = yield* attach(k, device, pt);
        k.keeps(rule["IOMMUFD-ATTACH-6"]);
      } else if (pt.kind === "ioas") {
        const auto = yield* k.iommufdDevice.autoDomain(k, device, pt, site, attach);
        ({ id, left } = auto);
        k.keeps(rule["IOMMUFD-ATTACH-5"]);
      } else {
        refuse(rule["IOMMUFD-ATTACH-2"]);
      }
    }
    // Only now, because it takes the locks of an IOAS again.
    if (left) yield* k.iommufdDevice.putHwpt(k, left);
    return id;
  },

  /** iommufd_device_auto_get_domain: an hwpt of the IOAS that takes the device, or else a new one. */
  *autoDomain(
    k: Kernel,
    device: IommufdDevice,
    ioas: Ioas,
    site: ChoiceSite | null,
    attach: AttachHwpt,
  ): Operation<{ readonly id: number; readonly left: Hwpt | null }> {
    using _ = yield* k.lock(ioas.mutex);
    for (const hwpt of ioas.hwpts) {
      if (!hwpt.auto) continue;
      try {
        return { id: hwpt.id, left: yield* attach(k, device, hwpt) };
      } catch (refusal) {
        // EINVAL: it does not suit the device, and another may.
        if (!(refusal instanceof Refusal && refusal.clause.code === ERRNO.EINVAL)) throw refusal;
      }
    }
    k.alloc();
    const hwpt = k.iommufdDevice.allocAutoHwpt(ioas, device);
    let left: Hwpt | null = null;
    try {
      if (attach === k.iommufdDevice.attachHwpt) yield* k.iommufdDevice.attachThenFill(k, device, hwpt);
      else {
        yield* k.ioas.addDomain(k, ioas, hwpt);
        left = yield* attach(k, device, hwpt);
      }
    } catch (refusal) {
      yield* k.iommufdDevice.abortHwpt(k, hwpt);
      throw refusal;
    }
    device.context.publish(hwpt, k.iommufd.chooseId(k, device.context, site));
    return { id: hwpt.id, left };
  },

  /** "Immediate attach": a new hwpt gets the device first, because some IOMMU drivers can't do it the other way round. */
  *attachThenFill(k: Kernel, device: IommufdDevice, hwpt: Hwpt): Operation<void> {
    yield* k.iommufdDevice.attachHwpt(k, device, hwpt);
    try {
      yield* k.ioas.addDomain(k, hwpt.ioas, hwpt);
    } catch (refusal) {
      yield* k.iommufdDevice.detachHwpt(k, device);
      throw refusal;
    }
  },

  /** iommufd_hw_pagetable_attach. The first device of a group takes the group along. */
  *attachHwpt(k: Kernel, device: IommufdDevice, hwpt: Hwpt): Operation<null> {
    const { igroup } = device;
    using _ = yield* k.lock(igroup.lock);
    must(!igroup.attached.includes(device), rule["IOMMUFD-ATTACH-7"]);
    must(igroup.hwpt === null || igroup.hwpt === hwpt, rule["IOMMUFD-ATTACH-3"]);
    yield* k.ioas.reserve(k, hwpt.ioas, device.device);
    if (igroup.attached.length === 0) {
      try {
        yield* k.iommufdDevice.attachGroup(k, device, hwpt);
      } catch (refusal) {
        yield* k.ioas.unreserve(k, hwpt.ioas, device.device);
        throw refusal;
      }
      igroup.hwpt = hwpt;
    }
    hwpt.users++;
    igroup.attached.push(device);
    return null;
  },

  /** iommu_attach_group_handle and iommu_replace_group_handle: the IOMMU's driver looks whether the table suits it. */
  *attachGroup(k: Kernel, device: IommufdDevice, hwpt: Hwpt): Operation<void> {
    k.alloc();
    using _ = yield* k.lock(device.igroup.group.mutex);
    const { iommuDriver, aperture } = device.device;
    must(hwpt.driver === iommuDriver, rule["IOMMUFD-ATTACH-8"]);
    must(hwpt.aperture.last === aperture.last, rule["IOMMUFD-ATTACH-4"]);
  },

  /** iommufd_device_do_replace: moves the whole group. The hwpt that it left, with one use for the caller to drop. */
  *replaceHwpt(k: Kernel, device: IommufdDevice, hwpt: Hwpt): Operation<Hwpt | null> {
    const { igroup } = device;
    using _ = yield* k.lock(igroup.lock);
    const old = igroup.hwpt;
    must(old !== null && igroup.attached.includes(device), rule["IOMMUFD-REPLACE-1"]);
    if (old === hwpt) return null;
    const moves = hwpt.ioas !== old.ioas;
    try {
      if (moves) for (const member of igroup.attached) yield* k.ioas.reserve(k, hwpt.ioas, member.device);
      yield* k.iommufdDevice.attachGroup(k, device, hwpt);
    } catch (refusal) {
      if (moves) for (const member of igroup.attached) yield* k.ioas.unreserve(k, hwpt.ioas, member.device);
      throw refusal;
    }
    if (moves) for (const member of igroup.attached) yield* k.ioas.unreserve(k, old.ioas, member.device);
    igroup.hwpt = hwpt;
    hwpt.users += igroup.attached.length;
    old.users -= igroup.attached.length - 1;
    k.keeps(rule["IOMMUFD-REPLACE-2"]);
    return old;
  },

  /** iommufd_hw_pagetable_detach: the hwpt that the device was attached to, for the caller to put. */
  *detachHwpt(k: Kernel, device: IommufdDevice): Operation<Hwpt> {
    const { igroup } = device;
    using _ = yield* k.lock(igroup.lock);
    const { hwpt } = igroup;
    if (!hwpt) throw new Error("a device that is not attached can't be detached");
    igroup.attached.splice(igroup.attached.indexOf(device), 1);
    if (igroup.attached.length === 0) {
      using _group = yield* k.lock(igroup.group.mutex);
      igroup.hwpt = null;
    }
    yield* k.ioas.unreserve(k, hwpt.ioas, device.device);
    return hwpt;
  },
};

/** How a device gets to an hwpt: attachHwpt or replaceHwpt. Brings the hwpt that was left, if one was. */
type AttachHwpt = (k: Kernel, device: IommufdDevice, hwpt: Hwpt) => Operation<Hwpt | null>;
