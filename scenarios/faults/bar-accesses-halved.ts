/** What moves eight bytes at once was left out by the preprocessor. */
import type { Fault } from "./fault.ts";

export const barAccessesHalved: Fault = {
  id: "bar-accesses-halved",
  title: "eight bytes of a BAR are accessed as twice four",
  cites: "2b938e3db335, vfio/pci: Enable iowrite64 and ioread64 for vfio pci (6.14)",
  breaks: "difference",
  shownBy: "function-regions",
  apply(k) {
    k.vfioPci = { ...k.vfioPci, widestAccess: () => 4 };
  },
};
