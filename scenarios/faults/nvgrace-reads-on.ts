/** Memory behind a GPU's region is read as if the region went on. */
import type { Fault } from "./fault.ts";

export const nvgraceReadsOn: Fault = {
  id: "nvgrace-reads-on",
  title: "a GPU's memory can be read behind the end of its region",
  cites: "seeded",
  breaks: "region-ends",
  shownBy: "driver-nvgrace-gpu",
  machine: "variants",
  apply(k) {
    const right = k.nvgrace.readMemory;
    k.nvgrace = {
      ...k.nvgrace,
      readMemory: (kernel, device, memory, io, offset) =>
        right(kernel, device, { ...memory, barSize: 2 * memory.barSize }, io, offset),
    };
  },
};
