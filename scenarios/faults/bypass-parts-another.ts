/**
 * Whoever unregisters is looked for by the eventfd: of two VMs with one, that which was not registered takes the connection of
 * the other away.
 */
import { Irqfd } from "../../model/kvm/irqfd.ts";
import type { Fault } from "./fault.ts";

export const bypassPartsAnother: Fault = {
  id: "bypass-parts-another",
  title: "an irqfd that could not be registered parts a device's interrupt from another VM when it goes",
  cites: "4f3dbdf47e15, KVM: eventfd: fix NULL deref irqbypass consumer (4.10)",
  breaks: "bypass-lives",
  shownBy: "irq-bypass",
  profile: "6.12",
  apply(k) {
    const right = k.irqBypass.unregisterConsumer;
    k.irqBypass = {
      ...k.irqBypass,
      unregisterConsumer(kernel, consumer) {
        const producer = consumer instanceof Irqfd && kernel.bypass.producers.get(consumer.counter);
        if (producer && !consumer.eventfd) consumer.delProducer();
        right(kernel, consumer);
      },
    };
  },
};
