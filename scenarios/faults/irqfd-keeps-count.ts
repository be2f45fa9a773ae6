/** What is written to an eventfd that interrupts a VM is passed on, and counted as well. */
import type { Fault } from "./fault.ts";

export const irqfdKeepsCount: Fault = {
  id: "irqfd-keeps-count",
  title: "an eventfd that interrupts a VM goes on counting what is written to it",
  cites: "kvm/eventfd: Drain events from eventfd in irqfd_wakeup() (5.11)",
  breaks: "difference",
  shownBy: "irq-bypass",
  apply(k) {
    const right = k.irqfd.wakeup;
    k.irqfd = {
      ...k.irqfd,
      wakeup(kernel, irqfd) {
        const { count } = irqfd.counter;
        right(kernel, irqfd);
        irqfd.counter.count = count;
      },
    };
  },
};
