/** INTx that is put to use is taken to be unmasked, although the user has it disabled: nothing unmasks it later. */
import type { IntxContext } from "../../model/vfio-pci/function-irqs.ts";
import type { Fault } from "./fault.ts";

export const intxDisabledUnknown: Fault = {
  id: "intx-disabled-unknown",
  title: "INTx that is disabled in the command register while it is put to use is never signalled again",
  cites: "899649b7d4ea, vfio: Fix PCI INTx disable consistency (3.10)",
  breaks: "intx-masked-while-pulled",
  shownBy: "function-regions",
  apply(k) {
    const { setIntxEventfd, intxArrives } = k.intrs;
    const stuck = new WeakSet<IntxContext>();
    k.intrs = {
      ...k.intrs,
      setIntxEventfd(kernel, irqs, fd) {
        const before = irqs.intx;
        setIntxEventfd(kernel, irqs, fd);
        if (before || !irqs.intx?.masked) return;
        irqs.intx.masked = false;
        stuck.add(irqs.intx);
      },
      intxArrives(kernel, irqs) {
        if (!irqs.intx || !stuck.has(irqs.intx)) intxArrives(kernel, irqs);
      },
    };
  },
};
