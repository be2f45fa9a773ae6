/** A GPU's memory does not say that it can be mapped, and can. */
import { REGION_FLAGS } from "../../model/vfio/device-info.ts";
import type { Fault } from "./fault.ts";

export const nvgraceMappingUntold: Fault = {
  id: "nvgrace-mapping-untold",
  title: "the region of a GPU's memory says that it can't be mapped, and is mapped",
  cites: "seeded",
  breaks: "mapped-as-told",
  shownBy: "driver-nvgrace-gpu",
  machine: "variants",
  apply(k) {
    const right = k.nvgrace.region;
    k.nvgrace = {
      ...k.nvgrace,
      region(kernel, memory) {
        const region = right(kernel, memory);
        return { ...region, flags: region.flags & ~REGION_FLAGS.MMAP };
      },
    };
  },
};
