/** A lock that is taken and not dropped. */
import type { Fault } from "./fault.ts";

export const lockKept: Fault = {
  id: "lock-kept",
  title: "asking whether a group's DMA is owned returns with the group's mutex held",
  cites: "seeded",
  breaks: "locks-dropped",
  shownBy: "emulated-devices",
  apply(k) {
    k.iommu = {
      ...k.iommu,
      *isClaimed(kernel, group) {
        yield* kernel.lock(group.mutex);
        return group.ownerCount > 0;
      },
    };
  },
};
