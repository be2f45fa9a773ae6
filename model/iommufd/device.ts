/** Physical devices: binding them to a context, attaching them to page tables. Beside drivers/iommu/iommufd/device.c. */
import type { IommuDevice } from "../iommu/device.ts";
import { type Clause, clauses, must, Refusal, refuse } from "../kernel/clause.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { ERRNO } from "../uapi/errno.ts";
import { steps as access } from "./access.ts";
import { steps as attach } from "./attach.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { steps as dirty } from "./dirty.ts";
import { steps as faultQueue } from "./fault-queue.ts";
import { steps as hwPagetable } from "./hw-pagetable.ts";
import { steps as hwQueue } from "./hw-queue.ts";
import { steps as hwptAlloc } from "./hwpt-alloc.ts";
import { IommufdGroup, NO_PASID } from "./igroup.ts";
import { steps as invalidate } from "./invalidate.ts";
import { type AnyHwpt, type Hwpt, type Ioas, type IommufdContext, IommufdDevice } from "./objects.ts";
import { steps as pasid, rule as pasidRule } from "./pasid.ts";
import { steps as vdevice } from "./vdevice.ts";
import { steps as veventQueue } from "./vevent-queue.ts";
import { steps as viommu } from "./viommu.ts";

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
  "IOMMUFD-DETACH-1": {
    ...IOMMUFD,
    rule: "an hwpt that an attach made goes with its last device, and what it and the device reserved is free again",
    source: source("iommufd_device_detach"),
    observable: "later-call",
  },
});

export const steps = {
  ...access,
  ...attach,
  ...hwPagetable,
  ...hwptAlloc,
  ...dirty,
  ...invalidate,
  ...faultQueue,
  ...viommu,
  ...vdevice,
  ...hwQueue,
  ...veventQueue,
  ...pasid,

  /** iommufd_get_device: the bound device of that id; drop it with `using`. */
  get(context: IommufdContext, id: number, refusedBy: Clause): IommufdDevice {
    const object = context.get(id);
    must(object?.kind === "device", refusedBy);
    return object.hold();
  },

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
    yield* k.iommufdDevice.removeVdevice(k, device);
    context.remove(device);
    yield* k.iommu.release(k, igroup.group);
    igroup.bound--;
    if (igroup.bound === 0) context.groups.delete(igroup.group);
    if (device.device.iommuDriver !== "mock") k.iommufd.put(k, context);
    k.keeps(rule["IOMMUFD-UNBIND-1"]);
  },

  /** iommufd_device_attach: the id of the hwpt. `site` is where the caller gets it. */
  *attachDevice(
    k: Kernel,
    device: IommufdDevice,
    ptId: number,
    site: ChoiceSite | null,
    pasid: number = NO_PASID,
  ): Operation<number> {
    const id = yield* k.iommufdDevice.changePt(k, device, ptId, site, k.iommufdDevice.attachHwpt, pasid);
    device.users++;
    return id;
  },

  /** iommufd_device_replace: the id of the hwpt. When it is refused, the device stays attached as it was. */
  *replaceDevice(
    k: Kernel,
    device: IommufdDevice,
    ptId: number,
    site: ChoiceSite | null,
    pasid: number = NO_PASID,
  ): Operation<number> {
    return yield* k.iommufdDevice.changePt(k, device, ptId, site, k.iommufdDevice.replaceHwpt, pasid);
  },

  /** iommufd_device_detach; what is not attached is left as it is. */
  *detachDevice(k: Kernel, device: IommufdDevice, pasid: number = NO_PASID): Operation<void> {
    const hwpt = yield* k.iommufdDevice.detachHwpt(k, device, pasid);
    if (!hwpt) return;
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
    pasid: number,
  ): Operation<number> {
    const own = pasid === NO_PASID;
    let id = ptId;
    let left: AnyHwpt | null;
    {
      using pt = device.context.get(ptId)?.hold();
      must(pt !== undefined, own ? rule["IOMMUFD-ATTACH-1"] : pasidRule["IOMMUFD-PASID-2"]);
      if (pt.kind === "hwpt" || pt.kind === "nested") {
        left = yield* attach(k, device, pt, pasid);
        k.keeps(rule["IOMMUFD-ATTACH-6"]);
      } else if (pt.kind === "ioas") {
        const auto = yield* k.iommufdDevice.autoDomain(k, device, pt, site, attach, pasid);
        ({ id, left } = auto);
        k.keeps(rule["IOMMUFD-ATTACH-5"]);
      } else {
        refuse(own ? rule["IOMMUFD-ATTACH-2"] : pasidRule["IOMMUFD-PASID-3"]);
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
    pasid: number,
  ): Operation<{ readonly id: number; readonly left: AnyHwpt | null }> {
    using _ = yield* k.lock(ioas.mutex);
    for (const hwpt of ioas.hwpts) {
      if (!hwpt.auto || k.iommufdDevice.passedOver(k, hwpt, site)) continue;
      try {
        return { id: hwpt.id, left: yield* attach(k, device, hwpt, pasid) };
      } catch (refusal) {
        // EINVAL: it does not suit the device, and another may.
        if (!(refusal instanceof Refusal && refusal.clause.code === ERRNO.EINVAL)) throw refusal;
      }
    }
    k.alloc();
    const hwpt = k.iommufdDevice.allocAutoHwpt(k, ioas, device);
    let left: AnyHwpt | null = null;
    try {
      if (attach === k.iommufdDevice.attachHwpt) yield* k.iommufdDevice.attachThenFill(k, device, hwpt, pasid);
      else {
        yield* k.ioas.addDomain(k, ioas, hwpt);
        left = yield* attach(k, device, hwpt, pasid);
      }
    } catch (refusal) {
      yield* k.iommufdDevice.abortHwpt(k, hwpt);
      throw refusal;
    }
    device.context.publish(hwpt, k.iommufd.chooseId(k, device.context, site));
    return { id: hwpt.id, left };
  },

  /**
   * Whether an hwpt that suits the device was passed over. The hook of iommufd's test in iopt_table_enforce_dev_resv_regions
   * makes an attach fail with EINVAL, which says that another hwpt may do: which one was taken shows that it struck.
   */
  passedOver(k: Kernel, { id, context }: Hwpt, site: ChoiceSite | null): boolean {
    if (!k.memory.failed || !site || !k.has("IOMMUFD_TEST")) return false;
    const taken = k.choose(site, BigInt(id), (other) => other === BigInt(id) || !context.isTaken(Number(other)));
    return taken !== BigInt(id);
  },

  /** "Immediate attach": a new hwpt gets the device first, because some IOMMU drivers can't do it the other way round. */
  *attachThenFill(k: Kernel, device: IommufdDevice, hwpt: Hwpt, pasid: number): Operation<void> {
    yield* k.iommufdDevice.attachHwpt(k, device, hwpt, pasid);
    try {
      yield* k.ioas.addDomain(k, hwpt.ioas, hwpt);
    } catch (refusal) {
      yield* k.iommufdDevice.detachHwpt(k, device, pasid);
      throw refusal;
    }
  },
};

/** How a device gets to an hwpt: attachHwpt or replaceHwpt. Brings the hwpt that was left, if one was. */
type AttachHwpt = (k: Kernel, device: IommufdDevice, hwpt: AnyHwpt, pasid: number) => Operation<AnyHwpt | null>;
