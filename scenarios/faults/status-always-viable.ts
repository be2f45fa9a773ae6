/** A group says that it is viable whoever owns its DMA. */
import type { Fault } from "./fault.ts";

export const statusAlwaysViable: Fault = {
  id: "status-always-viable",
  title: "GET_STATUS does not ask who owns the group's DMA",
  cites: "seeded",
  breaks: "difference",
  shownBy: "iommufd-compat",
  apply(k) {
    k.iommu = {
      ...k.iommu,
      *isClaimed() {
        return false;
      },
    };
  },
};
