/** Only a device's interrupt looks for its match: a VM's that comes later is never connected. */
import type { Fault } from "./fault.ts";

export const bypassOneOrder: Fault = {
  id: "bypass-one-order",
  title: "an irqfd whose eventfd is a vector's already is not connected to it",
  cites: "seeded",
  breaks: "bypass-connected",
  shownBy: "irq-bypass",
  apply(k) {
    k.irqBypass = {
      ...k.irqBypass,
      registerConsumer(kernel, consumer, eventfd) {
        const { consumers } = kernel.bypass;
        if (consumers.has(eventfd)) return;
        consumers.set(eventfd, consumer);
        consumer.eventfd = eventfd;
      },
    };
  },
};
