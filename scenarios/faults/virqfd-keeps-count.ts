/** What is written to an eventfd that unmasks INTx is acted upon, and counted as well. */
import type { Fault } from "./fault.ts";

export const virqfdKeepsCount: Fault = {
  id: "virqfd-keeps-count",
  title: "an eventfd that unmasks INTx goes on counting what is written to it",
  cites: "b1b397aeef81 vfio/virqfd: Drain events from eventfd in virqfd_wakeup() (5.11)",
  breaks: "difference",
  shownBy: "pci-functions",
  apply(k) {
    const right = k.intrs.wakeup;
    k.intrs = {
      ...k.intrs,
      wakeup(kernel, counter, handler) {
        const { count } = counter;
        right(kernel, counter, handler);
        counter.count = count;
      },
    };
  },
};
