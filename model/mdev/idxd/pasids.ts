/**
 * PASIDs that a VMM gives its guest: each leads to an address space of an iommufd, and has a number of the host's behind it. The series
 * took the numbers from a set of the process (ioasid); what came of that on the lists is that they are attached, as
 * VFIO_DEVICE_ATTACH_IOMMUFD_PT does for other devices.
 */
import { clauses, must } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { Operation } from "../../kernel/operation.ts";
import type { PasidOps, VfioDevice } from "../../vfio/device.ts";
import { IDXD, LINE_MAIL } from "./sources.ts";
import type { VirtualDsa } from "./virtual-device.ts";

const attach = { ...IDXD, since: "6.15", kconfig: ["VFIO_DEVICE_CDEV"] } as const;

export const rule = clauses({
  "IDXD-PASID-1": {
    ...attach,
    rule: "a guest's PASID has 20 bits",
    errno: "EINVAL",
    source: "drivers/iommu/iommu.c:iommu_attach_device_pasid",
  },
  "IDXD-PASID-2": {
    ...attach,
    rule: "there must be a PASID of the host's left for a guest's",
    errno: "ENOSPC",
    source: LINE_MAIL,
  },
  "IDXD-PASID-3": {
    ...attach,
    rule: "a PASID of a guest leads where it was attached last, whichever number the host has for it",
    source: LINE_MAIL,
    observable: "later-call",
  },
});

const PASID_BITS = 20;

export const pasidOpsOf = (device: VirtualDsa): PasidOps => ({
  *attach(k: Kernel, vfio: VfioDevice, pasid: number, ioasId: number): Operation<void> {
    must(pasid < 2 ** PASID_BITS, rule["IDXD-PASID-1"]);
    const { accelerator } = k;
    const context = vfio.iommufdAccess?.context;
    if (!accelerator || !context) throw new Error("a device that has PASIDs is bound");
    const there = device.guestPasids.get(pasid)?.access;
    if (there) {
      yield* k.iommufdDevice.replaceAccess(k, there, ioasId);
    } else {
      must(accelerator.freePasids > 0, rule["IDXD-PASID-2"]);
      const access = yield* k.iommufdDevice.createAccess(k, context, null);
      try {
        yield* k.iommufdDevice.attachAccess(k, access, ioasId);
      } catch (refusal) {
        yield* k.iommufdDevice.destroyAccess(k, access);
        throw refusal;
      }
      device.guestPasids.set(pasid, accelerator.takePasid(device, pasid, access));
    }
    k.keeps(rule["IDXD-PASID-3"]);
  },

  *detach(k: Kernel, _vfio: VfioDevice, pasid: number): Operation<void> {
    const taken = device.guestPasids.get(pasid);
    if (!taken?.access) return;
    yield* k.iommufdDevice.destroyAccess(k, taken.access);
    device.guestPasids.delete(pasid);
    k.accelerator?.putPasid(taken);
  },

  attachedTo(pasid: number): number | null {
    return device.guestPasids.get(pasid)?.access?.ioas?.id ?? null;
  },
});
