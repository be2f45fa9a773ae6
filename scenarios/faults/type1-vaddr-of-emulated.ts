/** Addresses are taken away under an emulated device, whose driver then waits for them for ever. */
import type { Fault } from "./fault.ts";

export const type1VaddrOfEmulated: Fault = {
  id: "type1-vaddr-of-emulated",
  title: "VFIO_DMA_UNMAP_FLAG_VADDR does not look for emulated groups",
  cites: "ef3a3f6a294b vfio/type1: exclude mdevs from VFIO_UPDATE_VADDR (6.3)",
  breaks: "difference",
  shownBy: "type1",
  apply(k) {
    k.type1 = { ...k.type1, mayTakeVaddr: () => true };
  },
};
