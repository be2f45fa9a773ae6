/** Interrupts of PCI functions. */
import { refuse } from "../../model/kernel/clause.ts";
import { PCI_IRQ } from "../../model/vfio/device-info.ts";
import { rule as irqRule } from "../../model/vfio/irqs.ts";
import type { Deviation } from "./deviation.ts";

export const errIrqRefused: Deviation = {
  id: "err-irq-refused",
  title:
    "GET_IRQ_INFO of the error interrupt of a function that is not of PCI Express is refused; vfio.h says that types which are not implemented return a count of zero",
  clause: "VFIO-DEV-IRQ-6",
  since: "6.1",
  source: "drivers/vfio/pci/vfio_pci_core.c:vfio_pci_ioctl_get_irq_info",
  upstream: "searched, none found",
  evidence: "err-irq-refused",
  apply(k, fired) {
    const right = k.intrs.describeIrqs;
    k.intrs = {
      ...k.intrs,
      describeIrqs(kernel, pciFunction, index) {
        if (index !== PCI_IRQ.ERR || pciFunction.spec.express) return right(kernel, pciFunction, index);
        fired();
        return refuse(irqRule["VFIO-DEV-IRQ-3"]);
      },
    };
  },
};

export const singleIrqNegative: Deviation = {
  id: "single-irq-negative",
  title:
    "SET_IRQS of the error or request interrupt with a descriptor below -1 succeeds and does nothing: the eventfd that was set stays",
  clause: "VFIO-PCI-SETIRQS-32",
  since: "6.1",
  until: "6.18",
  source: "drivers/vfio/pci/vfio_pci_intrs.c:vfio_pci_set_ctx_trigger_single",
  upstream:
    "98693e0897f7, vfio/pci: Use RCU for error/request triggers to avoid circular locking (6.19, also in 6.12.95)",
  evidence: "single-irq-negative",
  apply(k, fired) {
    k.intrs = {
      ...k.intrs,
      refuseNegative() {
        fired();
      },
    };
  },
};
