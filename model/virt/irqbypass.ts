/**
 * The irqbypass manager: interrupts of devices and of VMs that share an eventfd find each other, so that hardware may pass
 * them on without the kernel. Beside virt/lib/irqbypass.c. Nothing of it can be seen from user space.
 *
 * Its one mutex is held from the beginning of each step to its end, so that no step sees another half done.
 */
import type { EventCounter } from "../eventfd.ts";
import { clauses } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";

const source = (name: string) => `virt/lib/irqbypass.c:${name}`;

export const rule = clauses({
  "IRQBYPASS-1": {
    rule: "a device's interrupt and a VM's that have one eventfd are connected, whichever comes first",
    source: "include/linux/irqbypass.h",
    observable: "internal",
  },
  "IRQBYPASS-2": {
    rule: "whichever of the two goes first, they are disconnected, and the other may be connected again",
    source: "include/linux/irqbypass.h",
    observable: "internal",
  },
  "IRQBYPASS-3": {
    rule: "of two interrupts of devices with one eventfd only the first can be connected; the other is signalled as ever",
    source: source("irq_bypass_register_producer"),
    observable: "internal",
  },
  "IRQBYPASS-4": {
    rule: "of two VMs' interrupts with one eventfd only the first can be connected",
    source: source("irq_bypass_register_consumer"),
    until: "6.16",
    observable: "internal",
  },
  "IRQBYPASS-5": {
    rule: "while two are connected or parted both stand still: the device's is stopped first and started last",
    source: source("__connect"),
    observable: "internal",
    unseen: "neither vfio-pci nor KVM on x86 has anything to stop",
  },
});

/** struct irq_bypass_producer: a device's interrupt. */
export class IrqBypassProducer {
  /** What it is registered under; null while it is not. */
  eventfd: EventCounter | null = null;
  consumer: IrqBypassConsumer | null = null;
}

/** struct irq_bypass_consumer: a VM's interrupt. */
export abstract class IrqBypassConsumer {
  /** What it is registered under; null while it is not. */
  eventfd: EventCounter | null = null;
  producer: IrqBypassProducer | null = null;

  abstract addProducer(producer: IrqBypassProducer): void;
  abstract delProducer(): void;
}

/** Whoever is registered, by their eventfd. */
export class IrqBypass {
  readonly producers = new Map<EventCounter, IrqBypassProducer>();
  readonly consumers = new Map<EventCounter, IrqBypassConsumer>();
}

export const steps = {
  /** irq_bypass_register_producer: the eventfd may have one already, who stays. */
  registerProducer(k: Kernel, producer: IrqBypassProducer, eventfd: EventCounter): void {
    const { producers, consumers } = k.bypass;
    if (producers.has(eventfd)) {
      k.keeps(rule["IRQBYPASS-3"]);
      return;
    }
    producers.set(eventfd, producer);
    producer.eventfd = eventfd;
    const consumer = consumers.get(eventfd);
    if (consumer) k.irqBypass.connect(k, producer, consumer);
  },

  /** irq_bypass_unregister_producer, also of one that was not registered */
  unregisterProducer(k: Kernel, producer: IrqBypassProducer): void {
    const { eventfd, consumer } = producer;
    if (!eventfd) return;
    if (consumer) k.irqBypass.disconnect(k, producer, consumer);
    k.bypass.producers.delete(eventfd);
    producer.eventfd = null;
  },

  /** irq_bypass_register_consumer: the eventfd may have one already, who stays. */
  registerConsumer(k: Kernel, consumer: IrqBypassConsumer, eventfd: EventCounter): void {
    const { producers, consumers } = k.bypass;
    if (consumers.has(eventfd)) {
      k.keeps(rule["IRQBYPASS-4"]);
      return;
    }
    consumers.set(eventfd, consumer);
    consumer.eventfd = eventfd;
    const producer = producers.get(eventfd);
    if (producer) k.irqBypass.connect(k, producer, consumer);
  },

  /** irq_bypass_unregister_consumer, also of one that was not registered */
  unregisterConsumer(k: Kernel, consumer: IrqBypassConsumer): void {
    const { eventfd, producer } = consumer;
    if (!eventfd) return;
    if (producer) k.irqBypass.disconnect(k, producer, consumer);
    k.bypass.consumers.delete(eventfd);
    consumer.eventfd = null;
  },

  /** __connect. Of the callbacks around it neither vfio-pci nor KVM on x86 has any. */
  connect(k: Kernel, producer: IrqBypassProducer, consumer: IrqBypassConsumer): void {
    consumer.addProducer(producer);
    producer.consumer = consumer;
    consumer.producer = producer;
    k.keeps(rule["IRQBYPASS-1"]);
  },

  /** __disconnect */
  disconnect(k: Kernel, producer: IrqBypassProducer, consumer: IrqBypassConsumer): void {
    consumer.delProducer();
    producer.consumer = null;
    consumer.producer = null;
    k.keeps(rule["IRQBYPASS-2"]);
  },
};
