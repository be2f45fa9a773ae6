/** Mappings are made once and for all, whatever becomes of the memory behind them. */
import type { Fault } from "./fault.ts";

export const mappingsStay: Fault = {
  id: "mappings-stay",
  title: "a mapping of a BAR is accessed although the command register disables memory",
  cites: "abafbc551fdd, vfio-pci: Invalidate mmaps and block MMIO access on disabled memory (5.8)",
  breaks: "difference",
  shownBy: "function-regions",
  apply(k) {
    k.vfioPci = { ...k.vfioPci, *fault() {} };
  },
};
