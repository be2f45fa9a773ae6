/** A container takes any number of mappings, each of which costs the kernel memory. */
import type { Fault } from "./fault.ts";

export const type1NoEntryLimit: Fault = {
  id: "type1-no-entry-limit",
  title: "a container takes any number of mappings",
  cites: "492855939bdb vfio/type1: Limit DMA mappings per container (5.1)",
  breaks: "difference",
  shownBy: "type1",
  apply(k) {
    k.type1 = { ...k.type1, dmaAvail: () => 0xffff };
  },
};
