/** Linux 6.15 to 7.1: a queue of events may be asked for with any depth. */
import type { Fault } from "./fault.ts";

export const veventQueueUnbounded: Fault = {
  id: "vevent-queue-unbounded",
  title: "IOMMU_VEVENTQ_ALLOC makes queues that the kernel would have to keep any number of events for",
  cites: "6ebf2eb46fbd iommufd: Set veventq_depth upper bound (7.2)",
  breaks: "difference",
  shownBy: "emulated-devices",
  apply(k) {
    k.iommufdDevice = { ...k.iommufdDevice, isQueueDepth: (depth) => depth > 0 };
  },
};
