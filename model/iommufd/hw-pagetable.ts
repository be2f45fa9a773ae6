/** Hardware page tables: those that an attach makes, and the end of all. Beside drivers/iommu/iommufd/hw_pagetable.c. */
import { opsOf } from "../iommu/ops.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { type AnyHwpt, Hwpt, type Ioas, type IommufdDevice } from "./objects.ts";

export const steps = {
  /** iommufd_hwpt_paging_alloc for an attach: made for this device, filled by k.ioas.addDomain, not yet to be found by id. */
  allocAutoHwpt(k: Kernel, ioas: Ioas, { device }: IommufdDevice): Hwpt {
    const hwpt = new Hwpt(ioas, device, true);
    hwpt.enforceCacheCoherency = opsOf(device).enforcesCacheCoherency(k);
    return hwpt;
  },

  /** iommufd_hwpt_paging_abort and iommufd_hwpt_nested_abort: undoes the making of an hwpt that was not published. */
  *abortHwpt(k: Kernel, hwpt: AnyHwpt): Operation<void> {
    if (hwpt.kind === "hwpt" && hwpt.ioas.hwpts.includes(hwpt)) yield* k.ioas.removeDomain(k, hwpt.ioas, hwpt);
    k.iommufdDevice.letGo(hwpt);
  },

  /** iommufd_hw_pagetable_put: a device gives up its use; an hwpt made by an attach goes with the last one. */
  *putHwpt(k: Kernel, hwpt: AnyHwpt): Operation<void> {
    hwpt.users--;
    if (!hwpt.auto || hwpt.users > 1) return;
    hwpt.context.remove(hwpt);
    yield* k.iommufdDevice.destroyHwpt(k, hwpt);
  },

  /** iommufd_hwpt_paging_destroy and iommufd_hwpt_nested_destroy */
  *destroyHwpt(k: Kernel, hwpt: AnyHwpt): Operation<void> {
    if (hwpt.kind === "hwpt") {
      {
        using _ = yield* k.lock(hwpt.ioas.mutex);
      }
      yield* k.ioas.removeDomain(k, hwpt.ioas, hwpt);
    }
    k.iommufdDevice.letGo(hwpt);
  },

  /** Gives up what the hwpt uses: its IOAS or its parent, and its fault queue. */
  letGo(hwpt: AnyHwpt): void {
    if (hwpt.kind === "hwpt") hwpt.ioas.users--;
    else hwpt.base.users--;
    if (hwpt.fault) hwpt.fault.users--;
  },
};
