/** How VFIO devices use an iommufd: physical ones as devices, emulated ones as accesses. Beside drivers/vfio/iommufd.c. */
import type { IommufdContext } from "../iommufd/objects.ts";
import { must } from "../kernel/clause.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { VfioDevice } from "./device.ts";
import { rule as groupRule } from "./group.ts";

/** Where BIND returns the device's id. GET_DEVICE_FD returns none, and is told so by a null site. */
const OUT_DEVID: ChoiceSite = { at: "field", offset: 12, width: 4 };

export const steps = {
  /** vfio_df_iommufd_bind: the device's id in the context. */
  *bind(
    k: Kernel,
    device: VfioDevice,
    context: IommufdContext,
    site: ChoiceSite | null = OUT_DEVID,
  ): Operation<number> {
    // Nothing of the context is behind a device without IOMMU.
    if (device.group.type === "noiommu") return 0;
    if (device.backing.kind === "pci") {
      device.iommufdDevice = yield* k.iommufdDevice.bindDevice(k, context, device.backing.function, site);
      return device.iommufdDevice.id;
    }
    device.iommufdAccess = yield* k.iommufdDevice.createAccess(k, context, site);
    return device.iommufdAccess.id;
  },

  /** vfio_iommufd_physical_unbind and vfio_iommufd_emulated_unbind */
  *unbind(k: Kernel, device: VfioDevice): Operation<void> {
    for (const pasid of device.pasids) yield* k.vfioIommufd.detachPasid(k, device, pasid);
    yield* k.vfioIommufd.detach(k, device);
    if (device.iommufdDevice) yield* k.iommufdDevice.unbindDevice(k, device.iommufdDevice);
    if (device.iommufdAccess) yield* k.iommufdDevice.destroyAccess(k, device.iommufdAccess);
    device.iommufdDevice = null;
    device.iommufdAccess = null;
  },

  /** vfio_iommufd_physical_attach_ioas and vfio_iommufd_emulated_attach_ioas: the id of what it is attached to now. */
  *attach(k: Kernel, device: VfioDevice, ptId: number, site: ChoiceSite | null): Operation<number> {
    let id = ptId;
    if (device.iommufdDevice) {
      id = device.iommufdAttached
        ? yield* k.iommufdDevice.replaceDevice(k, device.iommufdDevice, ptId, site)
        : yield* k.iommufdDevice.attachDevice(k, device.iommufdDevice, ptId, site);
    } else if (device.iommufdAccess) {
      if (device.iommufdAttached) yield* k.iommufdDevice.replaceAccess(k, device.iommufdAccess, ptId);
      else yield* k.iommufdDevice.attachAccess(k, device.iommufdAccess, ptId);
    }
    device.iommufdAttached = true;
    return id;
  },

  /** vfio_iommufd_physical_detach_ioas and vfio_iommufd_emulated_detach_ioas */
  *detach(k: Kernel, device: VfioDevice): Operation<void> {
    if (!device.iommufdAttached) return;
    if (device.iommufdDevice) yield* k.iommufdDevice.detachDevice(k, device.iommufdDevice);
    else if (device.iommufdAccess) yield* k.iommufdDevice.detachAccess(k, device.iommufdAccess);
    device.iommufdAttached = false;
  },

  /** vfio_iommufd_physical_pasid_attach_ioas: the id of what the PASID is attached to now. */
  *attachPasid(k: Kernel, device: VfioDevice, pasid: number, ptId: number, site: ChoiceSite | null): Operation<number> {
    const { iommufdDevice, pasids, ops } = device;
    if (ops.pasids) {
      yield* ops.pasids.attach(k, device, pasid, ptId);
      pasids.add(pasid);
      return ptId;
    }
    if (!iommufdDevice) throw new Error("a device that is not bound has no PASIDs");
    if (pasids.has(pasid)) return yield* k.iommufdDevice.replaceDevice(k, iommufdDevice, ptId, site, pasid);
    const id = yield* k.iommufdDevice.attachDevice(k, iommufdDevice, ptId, site, pasid);
    pasids.add(pasid);
    return id;
  },

  /** vfio_iommufd_physical_pasid_detach_ioas */
  *detachPasid(k: Kernel, device: VfioDevice, pasid: number): Operation<void> {
    const { iommufdDevice, pasids, ops } = device;
    if (!pasids.delete(pasid)) return;
    if (ops.pasids) yield* ops.pasids.detach(k, device, pasid);
    if (iommufdDevice) yield* k.iommufdDevice.detachDevice(k, iommufdDevice, pasid);
  },

  /** What a PASID is attached to, as an id that attaching again would take; null when it is not. */
  pasidAttachedTo({ iommufdDevice, ops }: VfioDevice, pasid: number): number | null {
    if (ops.pasids) return ops.pasids.attachedTo(pasid);
    return iommufdDevice?.igroup.attachments.get(pasid)?.hwpt.id ?? null;
  },

  /** vfio_iommufd_compat_attach_ioas: a device that is opened through its group is attached at once. */
  *attachCompat(k: Kernel, device: VfioDevice, { compatIoas }: IommufdContext): Operation<void> {
    if (device.group.type === "noiommu") return;
    must(compatIoas !== null, groupRule["VFIO-GROUP-GETFD-6"]);
    yield* k.vfioIommufd.attach(k, device, compatIoas.id, null);
  },

  /** What a device is attached to, as an id that attaching again would take; null when it is not. */
  attachedTo(device: VfioDevice): number | null {
    if (!device.iommufdAttached) return null;
    if (device.iommufdAccess) return device.iommufdAccess.ioas?.id ?? null;
    const hwpt = device.iommufdDevice?.igroup.hwpt;
    return hwpt ? (hwpt.auto ? hwpt.paging.ioas.id : hwpt.id) : null;
  },
};
