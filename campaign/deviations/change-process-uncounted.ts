/** IOMMU_IOAS_CHANGE_PROCESS of what was mapped with CAP_IPC_LOCK: it moves to another process, and its count of pinned pages stays. */
import type { Deviation } from "./deviation.ts";

export const changeProcessUncounted: Deviation = {
  id: "change-process-uncounted",
  title:
    "IOMMU_IOAS_CHANGE_PROCESS leaves pages that count against no limit with the old process, and unpinning takes them from the new one's count, below nothing",
  clause: "IOMMUFD-CHANGEPROCESS-4",
  since: "6.14",
  source: "drivers/iommu/iommufd/ioas.c:need_charge_update",
  upstream: "searched, none found",
  evidence: "change-process-uncounted",
  apply(k, fired) {
    const right = k.iommufd.moveCounts;
    k.iommufd = {
      ...k.iommufd,
      moveCounts(kernel, pages) {
        if (pages.counted !== null) return right(kernel, pages);
        if (pages.pinned > 0) fired();
      },
    };
  },
};
