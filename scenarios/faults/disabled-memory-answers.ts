/** Nobody asks whether the command register enables memory before it is accessed. */
import type { Fault } from "./fault.ts";

export const disabledMemoryAnswers: Fault = {
  id: "disabled-memory-answers",
  title: "BARs are read and written although the command register disables memory",
  cites: "abafbc551fdd, vfio-pci: Invalidate mmaps and block MMIO access on disabled memory (5.8)",
  breaks: "difference",
  shownBy: "function-regions",
  apply(k) {
    k.vfioPci = {
      ...k.vfioPci,
      *testMemory() {
        return null;
      },
    };
  },
};
