/** Eventfds write to a BAR without asking whether memory answers. */
import type { Fault } from "./fault.ts";

export const ioeventfdWritesDisabled: Fault = {
  id: "ioeventfd-writes-disabled",
  title: "an eventfd writes to a BAR although the command register disables memory",
  cites: "abafbc551fdd, vfio-pci: Invalidate mmaps and block MMIO access on disabled memory (5.8)",
  breaks: "difference",
  shownBy: "function-regions",
  apply(k) {
    const { ioeventfdFires } = k.vfioPci;
    k.vfioPci = {
      ...k.vfioPci,
      ioeventfdFires(kernel, pciFunction, write) {
        const { bar, at, width, data } = write;
        if (kernel.vfioPci.reaches(kernel, pciFunction, bar)) ioeventfdFires(kernel, pciFunction, write);
        else {
          const store = { at, width, value: BigInt.asUintN(8 * width, data) };
          pciFunction.hardware?.write(bar, store, kernel.iommu.busOf(kernel, pciFunction));
        }
      },
    };
  },
};
