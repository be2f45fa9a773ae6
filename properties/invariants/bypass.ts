/** Invariants over which eventfd interrupts which VM, and what of that devices and VMs have in common. */
import { EventFile } from "../../model/eventfd.ts";
import type { Kernel } from "../../model/kernel/kernel.ts";
import { VmFile } from "../../model/kvm/kvm.ts";
import type { StateInvariant } from "./invariant.ts";

export const irqfdsApart: StateInvariant = {
  kind: "state",
  id: "irqfds-apart",
  title: "an eventfd interrupts a VM in one way, since 6.17 one VM only, and hears of it as long as it does",
  broken({ machine: { k } }) {
    for (const vm of k.vms) {
      for (const [at, irqfd] of vm.irqfds.entries()) {
        const { counter, gsi } = irqfd;
        if (!counter.waiters.includes(irqfd)) return `the eventfd of interrupt ${gsi} does not tell its VM`;
        for (let before = 0; before < at; before++) {
          if (vm.irqfds[before]?.counter === counter) return `an eventfd interrupts a VM by ${gsi} and in another way`;
        }
      }
    }
    if (!k.since("6.17")) return undefined;
    for (const vm of k.vms) {
      for (const { counter, gsi } of vm.irqfds) {
        const others = [...k.vms].some((other) => other !== vm && other.irqfds.some((one) => one.counter === counter));
        if (others) return `the eventfd of interrupt ${gsi} interrupts another VM as well`;
      }
    }
    return undefined;
  },
};

export const irqfdsLive: StateInvariant = {
  kind: "state",
  id: "irqfds-live",
  title: "an irqfd has an eventfd and a VM that are open",
  broken({ machine: { k } }) {
    let open: Set<object> | undefined;
    for (const { irqfds } of k.vms) {
      for (const { counter, vm, gsi } of irqfds) {
        open ??= openEventfdsAndVms(k);
        if (!open.has(counter)) return `interrupt ${gsi} of a VM has an eventfd that is closed`;
        if (!open.has(vm)) return `an eventfd leads to interrupt ${gsi} of a VM that is closed`;
      }
    }
    return undefined;
  },
};

function openEventfdsAndVms({ fds }: Kernel): Set<object> {
  const open = new Set<object>();
  for (const file of fds.files) {
    if (file instanceof EventFile) open.add(file.counter);
    else if (file instanceof VmFile) open.add(file.vm);
  }
  return open;
}

export const bypassConnected: StateInvariant = {
  kind: "state",
  id: "bypass-connected",
  title: "interrupts of a device and of a VM are connected exactly while both are registered under one eventfd",
  broken({ machine: { k } }) {
    const { producers, consumers } = k.bypass;
    for (const [eventfd, producer] of producers) {
      if (producer.eventfd !== eventfd) return "an interrupt of a device is registered under another's eventfd";
      if (producer.consumer !== (consumers.get(eventfd) ?? null)) {
        return producer.consumer
          ? "an interrupt of a device is connected to a VM's that has another eventfd"
          : "interrupts of a device and of a VM have one eventfd, and are not connected";
      }
    }
    for (const [eventfd, consumer] of consumers) {
      if (consumer.eventfd !== eventfd) return "an interrupt of a VM is registered under another's eventfd";
      if (consumer.producer !== (producers.get(eventfd) ?? null)) {
        return "an interrupt of a VM is not connected to the device's that has its eventfd";
      }
    }
    return undefined;
  },
};

export const bypassLives: StateInvariant = {
  kind: "state",
  id: "bypass-lives",
  title:
    "whatever can be connected is in use: vectors that are signalled, and irqfds of VMs, which count those connected",
  broken({ machine: { k } }) {
    const { producers, consumers } = k.bypass;
    if (producers.size > 0 || consumers.size > 0) {
      const inUse = signalledVectors(k);
      for (const producer of producers.values()) {
        if (!inUse.has(producer)) return "a vector that is not signalled any more can be connected to a VM";
      }
      const live = new Set<object>();
      for (const { irqfds } of k.vms) for (const irqfd of irqfds) live.add(irqfd);
      for (const consumer of consumers.values()) {
        if (!live.has(consumer)) return "an irqfd that is gone can be connected to a device";
      }
    }
    for (const { irqfds, bypassIrqs } of k.vms) {
      const connected = irqfds.reduce((sum, { producer }) => sum + (producer ? 1 : 0), 0);
      if (connected !== bypassIrqs) return `a VM counts ${bypassIrqs} connected interrupts, and has ${connected}`;
    }
    return undefined;
  },
};

function signalledVectors({ functions }: Kernel): ReadonlySet<object> {
  const found = new Set<object>();
  for (const { irqs } of functions) {
    if (irqs.vectors) for (const { producer } of irqs.vectors.signalled.values()) found.add(producer);
  }
  return found;
}
