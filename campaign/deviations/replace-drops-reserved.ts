/** A device that can't move to another page table. */
import type { Deviation } from "./deviation.ts";

export const replaceDropsReserved: Deviation = {
  id: "replace-drops-reserved",
  title:
    "an attached device that can't be moved to another page table of its IOAS stays attached, and what it reserved there is free: the MSI window can be mapped",
  clause: "IOMMUFD-REPLACE-3",
  since: "6.6",
  source: "drivers/iommu/iommufd/device.c:iommufd_device_do_replace",
  upstream: "searched, none found",
  evidence: "replace-drops-reserved",
  apply(k, fired) {
    k.iommufdDevice = {
      ...k.iommufdDevice,
      *stayReserved(kernel, igroup, ioas, moves) {
        if (!moves && ioas.pagetable.reservedBy(igroup.attached.map(({ device }) => device))) fired();
        for (const { device } of igroup.attached) yield* kernel.ioas.unreserve(kernel, ioas, device);
      },
    };
  },
};
