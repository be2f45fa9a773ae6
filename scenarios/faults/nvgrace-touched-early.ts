/** A GPU's memory is touched before it is ready, as the hardware answers with an error that is logged. */
import type { Fault } from "./fault.ts";

export const nvgraceTouchedEarly: Fault = {
  id: "nvgrace-touched-early",
  title: "a GPU's memory is read and written right after a reset, whatever its command register says",
  cites: "vfio/nvgrace-gpu: wait for the GPU mem to be ready (7.0)",
  breaks: "difference",
  shownBy: "driver-nvgrace-gpu",
  machine: "variants",
  apply(k) {
    k.nvgrace = { ...k.nvgrace, *checkReady() {} };
  },
};
