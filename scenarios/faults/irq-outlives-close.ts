/** The eventfds for errors and requests are never put: they are there for whoever opens the device next. */
import type { Fault } from "./fault.ts";

export const irqOutlivesClose: Fault = {
  id: "irq-outlives-close",
  title: "a device that is closed keeps the eventfds for errors and requests",
  cites: "1518ac272e78 vfio/pci: fix memory leaks of eventfd ctx (5.8)",
  breaks: "references-balance",
  shownBy: "pci-functions",
  apply(k) {
    k.intrs = { ...k.intrs, endSingles() {} };
  },
};
