/** The region of a GPU's memory begins where that of another BAR does. */
import { REGION_SIZE } from "../../model/vfio/device-info.ts";
import type { Fault } from "./fault.ts";

export const nvgraceRegionsOverlap: Fault = {
  id: "nvgrace-regions-overlap",
  title: "the regions of a GPU's memory lie where BAR 0 does",
  cites: "seeded",
  breaks: "regions-apart",
  shownBy: "driver-nvgrace-gpu",
  machine: "variants",
  apply(k) {
    const right = k.nvgrace.region;
    k.nvgrace = {
      ...k.nvgrace,
      region: (kernel, memory) => {
        const region = right(kernel, memory);
        return { ...region, offset: region.offset % REGION_SIZE };
      },
    };
  },
};
