/** The last eventfd of an interrupt that is resampled goes, and the interrupt stays asserted: the guest never sees the end of it. */
import type { Fault } from "./fault.ts";

export const irqfdStaysAsserted: Fault = {
  id: "irqfd-stays-asserted",
  title: "an interrupt that is resampled stays asserted when its eventfds are gone",
  cites: "seeded",
  breaks: "difference",
  shownBy: "irq-bypass",
  apply(k) {
    k.irqfd = { ...k.irqfd, shutdownResampler() {} };
  },
};
