/** The counter of what a hot reset hits is not set to zero first: it goes on from what the stack held, here the last count. */
import type { Fault } from "./fault.ts";

export const hotResetInfoCountsOn: Fault = {
  id: "hot-reset-info-counts-on",
  title: "GET_PCI_HOT_RESET_INFO counts on from what was in memory",
  cites: "5a88a3f67e37 vfio/pci: Init the count variable in collecting hot-reset devices (6.9.10)",
  breaks: "difference",
  shownBy: "page-tables",
  apply(k) {
    const right = k.hotReset.count;
    let left = 0;
    k.hotReset = {
      ...k.hotReset,
      count(affected) {
        left += right(affected);
        return left;
      },
    };
  },
};
