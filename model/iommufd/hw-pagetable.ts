/** Hardware page tables that an attach makes. Beside drivers/iommu/iommufd/hw_pagetable.c. */
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { Hwpt, type Ioas, type IommufdDevice } from "./objects.ts";

export const steps = {
  /** iommufd_hwpt_paging_alloc for an attach: made for this device, filled by k.ioas.addDomain, not yet to be found by id. */
  allocAutoHwpt(ioas: Ioas, device: IommufdDevice): Hwpt {
    return new Hwpt(ioas, device.device, true);
  },

  /** iommufd_hwpt_paging_abort: undoes the making of an hwpt that was not published. */
  *abortHwpt(k: Kernel, hwpt: Hwpt): Operation<void> {
    if (hwpt.ioas.hwpts.includes(hwpt)) yield* k.ioas.removeDomain(k, hwpt.ioas, hwpt);
    hwpt.ioas.users--;
  },

  /** iommufd_hw_pagetable_put: a device gives up its use; an hwpt made by an attach goes with the last one. */
  *putHwpt(k: Kernel, hwpt: Hwpt): Operation<void> {
    hwpt.users--;
    if (!hwpt.auto || hwpt.users > 1) return;
    hwpt.context.remove(hwpt);
    yield* k.iommufdDevice.destroyHwpt(k, hwpt);
  },

  /** iommufd_hwpt_paging_destroy */
  *destroyHwpt(k: Kernel, hwpt: Hwpt): Operation<void> {
    {
      using _ = yield* k.lock(hwpt.ioas.mutex);
    }
    yield* k.ioas.removeDomain(k, hwpt.ioas, hwpt);
    hwpt.ioas.users--;
  },
};
