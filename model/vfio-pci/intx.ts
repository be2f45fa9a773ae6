/** INTx of a PCI function: put to use, masked, unmasked, raised by hand. Beside drivers/vfio/pci/vfio_pci_intrs.c. */
import { type EventCounter, eventfdOf } from "../eventfd.ts";
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { PciFunction } from "../pci/function.ts";
import { PCI_IRQ } from "../vfio/device-info.ts";
import { IRQ_SET, type IrqSetRequest } from "../vfio/irqs.ts";
import { type FunctionIrqs, IntxContext } from "./function-irqs.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_intrs.c:${name}`;
const header = "include/uapi/linux/vfio.h:VFIO_DEVICE_SET_IRQS";
const fdget = "fs/eventfd.c:eventfd_ctx_fdget";

export const rule = clauses({
  "VFIO-PCI-SETIRQS-2": {
    rule: "INTx can be masked and unmasked while it is in use, and only the one",
    errno: "EINVAL",
    source: source("vfio_pci_set_intx_mask"),
  },
  "VFIO-PCI-SETIRQS-3": {
    rule: "INTx can't be masked by an eventfd",
    errno: "ENOTTY",
    source: source("vfio_pci_set_intx_mask"),
  },
  "VFIO-PCI-SETIRQS-4": {
    rule: "INTx is masked, or unmasked, from now on; a byte of 0 leaves it as it is",
    source: header,
    observable: "internal",
  },
  "VFIO-PCI-SETIRQS-5": {
    rule: "INTx is unmasked whenever the eventfd is written to; -1 ends that",
    source: header,
    observable: "later-call",
  },
  "VFIO-PCI-SETIRQS-6": {
    rule: "INTx is not put to use while MSI or MSI-X is, and there is only one",
    errno: "EINVAL",
    source: source("vfio_pci_set_intx_trigger"),
  },
  "VFIO-PCI-SETIRQS-7": {
    rule: "the eventfd of INTx must be an open descriptor; what was set before stays",
    errno: "EBADF",
    source: fdget,
  },
  "VFIO-PCI-SETIRQS-8": {
    rule: "the eventfd of INTx must be one; what was set before stays",
    errno: "EINVAL",
    source: fdget,
  },
  "VFIO-PCI-SETIRQS-9": {
    rule: "the interrupt line of the function must lead somewhere",
    errno: "ENODEV",
    source: source("vfio_intx_enable"),
    unseen: "every function of the suite's machines has a line that leads somewhere",
  },
  "VFIO-PCI-SETIRQS-10": {
    rule: "INTx is in use from now on, signalled on the eventfd; with -1 it is in use and not signalled",
    source: header,
    observable: "later-call",
  },
  "VFIO-PCI-SETIRQS-11": {
    rule: "INTx can be raised by hand while it is in use",
    errno: "EINVAL",
    source: source("vfio_pci_set_intx_trigger"),
  },
  "VFIO-PCI-SETIRQS-12": {
    rule: "INTx that is raised by hand is signalled on its eventfd, masked or not",
    source: source("vfio_send_intx_eventfd"),
    observable: "later-call",
  },
  "VFIO-PCI-SETIRQS-13": {
    rule: "a count of 0 ends the use of INTx",
    source: header,
    observable: "later-call",
  },
});

export const steps = {
  /** vfio_pci_set_intx_mask */
  maskIntx(k: Kernel, { intx }: FunctionIrqs, { flags, count, data }: IrqSetRequest): void {
    must(intx !== null && count === 1, rule["VFIO-PCI-SETIRQS-2"]);
    must((flags & IRQ_SET.EVENTFD) === 0, rule["VFIO-PCI-SETIRQS-3"]);
    k.keeps(rule["VFIO-PCI-SETIRQS-4"]);
    if (data[0] === 0) return;
    intx.masked = true;
  },

  /** vfio_pci_set_intx_unmask */
  unmaskIntx(k: Kernel, pciFunction: PciFunction, { flags, count, data }: IrqSetRequest): void {
    const { irqs } = pciFunction;
    const { intx } = irqs;
    must(intx !== null && count === 1, rule["VFIO-PCI-SETIRQS-2"]);
    const [first] = data;
    if ((flags & IRQ_SET.EVENTFD) === 0) {
      if (first !== 0) k.intrs.unmask(k, irqs);
      k.keeps(rule["VFIO-PCI-SETIRQS-4"]);
      return;
    }
    if (first !== undefined && first >= 0) {
      k.intrs.foreseeEventfd(k, pciFunction, first, "unmasks");
      const foresee = (): void => k.intrs.foreseeLevel(irqs);
      k.intrs.enableVirqfd(k, intx.unmask, first, () => k.intrs.unmask(k, irqs), foresee);
    } else {
      k.intrs.disableVirqfd(intx.unmask);
    }
    k.keeps(rule["VFIO-PCI-SETIRQS-5"]);
  },

  /** vfio_pci_set_intx_trigger */
  triggerIntx(k: Kernel, pciFunction: PciFunction, { flags, count, data }: IrqSetRequest): void {
    const { irqs } = pciFunction;
    const { intx, inUse } = irqs;
    if (intx && count === 0 && flags & IRQ_SET.NONE) {
      k.intrs.disableIntx(k, irqs);
      return;
    }
    must((inUse === null || inUse === PCI_IRQ.INTX) && count === 1, rule["VFIO-PCI-SETIRQS-6"]);
    const [first] = data;
    if (flags & IRQ_SET.EVENTFD) {
      k.intrs.foreseeEventfd(k, pciFunction, first ?? -1, "signals");
      k.intrs.setIntxEventfd(k, irqs, first ?? -1);
      return;
    }
    must(intx !== null, rule["VFIO-PCI-SETIRQS-11"]);
    if (first === 0) return;
    if (intx.trigger && !irqs.intxDisabled) k.keeps(rule["VFIO-PCI-SETIRQS-12"]);
    k.intrs.sendIntx(irqs);
  },

  /** vfio_intx_enable and vfio_intx_set_signal */
  setIntxEventfd(k: Kernel, irqs: FunctionIrqs, fd: number): void {
    const trigger = fd < 0 ? null : k.intrs.intxEventfd(k, fd);
    if (irqs.intx) {
      irqs.intx.trigger = trigger;
    } else {
      k.alloc();
      k.intrs.foreseePulled(irqs);
      irqs.intx = new IntxContext(trigger, irqs.intxDisabled);
    }
    k.keeps(rule["VFIO-PCI-SETIRQS-10"]);
  },

  intxEventfd(k: Kernel, fd: number): EventCounter {
    return eventfdOf(k, fd, rule["VFIO-PCI-SETIRQS-7"], rule["VFIO-PCI-SETIRQS-8"]);
  },

  /** vfio_intx_disable */
  disableIntx(k: Kernel, irqs: FunctionIrqs): void {
    if (!irqs.intx) return;
    k.intrs.disableVirqfd(irqs.intx.unmask);
    irqs.intx = null;
    k.keeps(rule["VFIO-PCI-SETIRQS-13"]);
  },
};
