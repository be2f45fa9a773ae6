/** An eventfd is made to interrupt a VM that has nothing to take an interrupt, and is never heard of again. */
import type { Fault } from "./fault.ts";

export const irqfdWithoutIrqchip: Fault = {
  id: "irqfd-without-irqchip",
  title: "an eventfd may lead to a VM that has no interrupt controller in the kernel, or none that resamples",
  cites: "654f1f13ea56, kvm: Check irqchip mode before assign irqfd (5.2)",
  breaks: "difference",
  shownBy: "irq-bypass",
  apply(k) {
    k.irqfd = { ...k.irqfd, mustBeAllowed() {} };
  },
};
