/** INTx gives up its eventfd before it looks at the one that it is to get. */
import type { Fault } from "./fault.ts";

export const intxLosesEventfd: Fault = {
  id: "intx-loses-eventfd",
  title: "INTx that is refused another eventfd has lost the one that it had",
  cites: "18c198c96a81 vfio/pci: Create persistent INTx handler (6.9)",
  breaks: "refused-no-trace",
  shownBy: "pci-functions",
  apply(k) {
    const right = k.intrs.setIntxEventfd;
    k.intrs = {
      ...k.intrs,
      setIntxEventfd(kernel, irqs, fd) {
        if (irqs.intx) irqs.intx.trigger = null;
        right(kernel, irqs, fd);
      },
    };
  },
};
