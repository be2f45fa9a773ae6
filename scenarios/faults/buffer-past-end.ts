/** Ranges of a buffer are held against the address space, and not against the BAR. */
import type { Fault } from "./fault.ts";

export const bufferPastEnd: Fault = {
  id: "buffer-past-end",
  title: "a buffer reaches what lies behind its BAR",
  cites: "seeded",
  breaks: "buffers-within-bar",
  shownBy: "dma-buffers",
  apply(k) {
    const { fitRanges } = k.vfioPci;
    k.vfioPci = { ...k.vfioPci, fitRanges: (ranges) => fitRanges(ranges, 1n << 40n) };
  },
};
