/** Emulated devices: they reach an IOAS through the CPU, with no hwpt. Beside drivers/iommu/iommufd/device.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { U64_MAX } from "../uapi/u64.ts";
import { steps as pins } from "./access-pin.ts";
import { steps as accessRw } from "./access-rw.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { PAGE_SIZE } from "./io-pagetable.ts";
import { Access, type Ioas, type IommufdContext } from "./objects.ts";

export const rule = clauses({
  "IOMMUFD-ACCESS-1": {
    ...IOMMUFD,
    rule: "an emulated device can only be attached to an IOAS, by its id",
    errno: "ENOENT",
    source: iommufdSource("device", "iommufd_access_change_ioas_id"),
  },
  "IOMMUFD-ACCESS-2": {
    ...IOMMUFD,
    rule: "an emulated device that changes its IOAS must have one",
    errno: "ENOENT",
    source: iommufdSource("device", "iommufd_access_replace"),
    unseen: "VFIO changes the IOAS of a device only while it has one",
  },
  "IOMMUFD-ACCESS-3": {
    ...IOMMUFD,
    rule: "an IOAS with an emulated device takes page-aligned mappings only, can't be destroyed, and pins nothing unless it asks",
    source: iommufdSource("device", "iommufd_access_change_ioas"),
    observable: "later-call",
  },
});

export const steps = {
  ...pins,
  ...accessRw,

  /** iommufd_access_create; `site` is where the caller gets the id, null when it does not. */
  *createAccess(
    k: Kernel,
    context: IommufdContext,
    site: ChoiceSite | null,
    alignment: bigint = PAGE_SIZE,
  ): Operation<Access> {
    k.alloc();
    const access = new Access(context, alignment);
    context.refs++;
    context.publish(access, k.iommufd.chooseId(k, context, site));
    return access;
  },

  /** iommufd_access_destroy */
  *destroyAccess(k: Kernel, access: Access): Operation<void> {
    access.context.remove(access);
    yield* k.iommufdDevice.changeIoas(k, access, null);
    k.iommufd.put(k, access.context);
  },

  /** iommufd_access_attach */
  *attachAccess(k: Kernel, access: Access, ioasId: number): Operation<void> {
    using ioas = k.ioas.get(access.context, ioasId, rule["IOMMUFD-ACCESS-1"]);
    yield* k.iommufdDevice.changeIoas(k, access, ioas);
  },

  /** iommufd_access_replace */
  *replaceAccess(k: Kernel, access: Access, ioasId: number): Operation<void> {
    must(access.ioas !== null, rule["IOMMUFD-ACCESS-2"]);
    using ioas = k.ioas.get(access.context, ioasId, rule["IOMMUFD-ACCESS-1"]);
    yield* k.iommufdDevice.changeIoas(k, access, ioas);
  },

  /** iommufd_access_detach */
  *detachAccess(k: Kernel, access: Access): Operation<void> {
    yield* k.iommufdDevice.changeIoas(k, access, null);
  },

  /** iommufd_access_change_ioas: the new one is taken before the old one is given up, with all that is pinned there. */
  *changeIoas(k: Kernel, access: Access, ioas: Ioas | null): Operation<void> {
    const old = access.ioas;
    if (old === ioas) return;
    if (ioas) {
      using _ = yield* k.lock(access.ioasLock);
      yield* k.ioas.addAccess(k, ioas, access);
      ioas.users++;
      k.keeps(rule["IOMMUFD-ACCESS-3"]);
    }
    if (old) {
      // The driver lets go of what it has pinned, for which the lock is dropped.
      if (access.driver) yield* access.driver.unmap(k, 0n, U64_MAX);
      using _ = yield* k.lock(access.ioasLock);
      yield* k.ioas.removeAccess(k, old, access);
      old.users--;
    }
    access.ioas = ioas;
  },
};
