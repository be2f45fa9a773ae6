/** Only the VM's own irqfds are looked at: of two VMs with one eventfd the second never hears of it. */

import { must } from "../../model/kernel/clause.ts";
import { rule } from "../../model/kvm/irqfd.ts";
import type { Fault } from "./fault.ts";

export const irqfdOfTwoVms: Fault = {
  id: "irqfd-of-two-vms",
  title: "an eventfd that interrupts a VM may be given to another",
  cites: "2cdd64cbf990, KVM: Disallow binding multiple irqfds to an eventfd with a priority waiter (6.17)",
  breaks: "irqfds-apart",
  shownBy: "irq-bypass",
  apply(k) {
    k.irqfd = {
      ...k.irqfd,
      mustBeFree(_kernel, vm, counter) {
        must(
          vm.irqfds.every((other) => other.counter !== counter),
          rule["KVM-IRQFD-10"],
        );
      },
    };
  },
};
