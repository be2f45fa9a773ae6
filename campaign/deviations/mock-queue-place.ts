/** A mock's hardware queue does not know its index: iommufd's selftest.c has a field for it, which nobody fills. */
import type { Deviation } from "./deviation.ts";

export const mockQueuePlace: Deviation = {
  id: "mock-queue-place",
  title: "a mock's second hardware queue that is destroyed leaves the place of the first, and its own stays taken",
  clause: "IOMMUFD-MOCKQUEUE-2",
  since: "6.17",
  source: "drivers/iommu/iommufd/selftest.c:mock_hw_queue_destroy",
  upstream: "searched, none found",
  evidence: "mock-queue-place",
  apply(k, fired) {
    k.selftest = {
      ...k.selftest,
      placeOf({ index }) {
        if (index > 0) fired();
        return 0;
      },
    };
  },
};
