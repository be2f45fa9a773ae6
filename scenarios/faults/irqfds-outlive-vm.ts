/** The last close of a VM's file leaves its irqfds to whoever else holds the VM. */
import type { Fault } from "./fault.ts";

export const irqfdsOutliveVm: Fault = {
  id: "irqfds-outlive-vm",
  title: "a VM that is closed keeps its irqfds while a device holds it",
  cites: "seeded",
  breaks: "irqfds-live",
  shownBy: "irq-bypass",
  apply(k) {
    const right = k.irqfd.releaseVm;
    k.irqfd = {
      ...k.irqfd,
      *releaseVm(kernel, vm) {
        if (vm.refs === 1) yield* right(kernel, vm);
      },
    };
  },
};
