/**
 * Interrupts of PCI functions: what there are, and the dispatch of what is to be done with them. Beside
 * drivers/vfio/pci/vfio_pci_intrs.c, and the two ioctls of vfio_pci_core.c.
 */
import { type EventCounter, eventfdOf } from "../eventfd.ts";
import { clauses, must, refuse } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import type { PciFunction } from "../pci/function.ts";
import { locksOf } from "../pci/locks.ts";
import { PCI_IRQ, PCI_IRQ_COUNT } from "../vfio/device-info.ts";
import {
  answerIrqInfo,
  IRQ_ACTION,
  IRQ_INFO,
  IRQ_SET,
  type IrqDescription,
  type IrqSetRequest,
  rule as irqRule,
  readIrqSet,
} from "../vfio/irqs.ts";
import { steps as virqfd } from "../vfio/virqfd.ts";
import { steps as arrivals } from "./arrivals.ts";
import type { FunctionIrqs, SingleIndex } from "./function-irqs.ts";
import { steps as intx } from "./intx.ts";
import { steps as msi } from "./msi.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_intrs.c:${name}`;
const info = (rule: string) =>
  ({ rule, source: "include/uapi/linux/vfio.h:vfio_irq_info", observable: "output" }) as const;
const fdget = "fs/eventfd.c:eventfd_ctx_fdget";

export const rule = clauses({
  "VFIO-PCI-IRQ-1": info("INTx is one, of a function with an interrupt pin; it can be masked, and is when it fires"),
  "VFIO-PCI-IRQ-2": info("MSI vectors are as many as the capability says, and are set up all at once"),
  "VFIO-PCI-IRQ-3": {
    ...info("MSI-X vectors are as many as the table has, and are set up all at once"),
    until: "6.4",
  },
  "VFIO-PCI-IRQ-4": {
    ...info("MSI-X vectors are as many as the table has, and can be added while others are in use"),
    since: "6.5",
  },
  "VFIO-PCI-IRQ-5": info("errors are told of by one interrupt, of a function of PCI Express"),
  "VFIO-PCI-IRQ-6": info("every function has one interrupt by which the host asks for it back"),
  "VFIO-PCI-SETIRQS-1": {
    rule: "there must be one action, and one that the index has: only INTx is masked and unmasked",
    errno: "ENOTTY",
    source: source("vfio_pci_set_irqs_ioctl"),
  },
  "VFIO-PCI-SETIRQS-30": {
    rule: "an error or request interrupt that has no eventfd can't be raised by hand, nor ended",
    errno: "EINVAL",
    source: source("vfio_pci_set_ctx_trigger_single"),
  },
  "VFIO-PCI-SETIRQS-31": {
    rule: "an error or request interrupt takes one byte or one descriptor, not none",
    errno: "EINVAL",
    source: source("vfio_pci_set_ctx_trigger_single"),
  },
  "VFIO-PCI-SETIRQS-32": {
    rule: "no negative number but -1 ends an error or request interrupt",
    errno: "EINVAL",
    source: source("vfio_pci_set_ctx_trigger_single"),
  },
  "VFIO-PCI-SETIRQS-33": {
    rule: "the eventfd of an error or request interrupt must be an open descriptor",
    errno: "EBADF",
    source: fdget,
  },
  "VFIO-PCI-SETIRQS-34": {
    rule: "the eventfd of an error or request interrupt must be one",
    errno: "EINVAL",
    source: fdget,
  },
  "VFIO-PCI-SETIRQS-35": {
    rule: "errors or requests are signalled on the eventfd, whatever else is in use; -1 ends that, and so does a count of 0",
    source: "include/uapi/linux/vfio.h:VFIO_DEVICE_SET_IRQS",
    observable: "later-call",
  },
  "VFIO-PCI-SETIRQS-36": {
    rule: "an error or request interrupt that is raised by hand is signalled on its eventfd",
    source: "include/uapi/linux/vfio.h:VFIO_DEVICE_SET_IRQS",
    observable: "later-call",
  },
  "VFIO-PCI-SETIRQS-37": {
    rule: "the last close ends every interrupt",
    source: "drivers/vfio/pci/vfio_pci_core.c:vfio_pci_core_close_device",
    observable: "later-call",
  },
});

const { EVENTFD, MASKABLE, AUTOMASKED, NORESIZE } = IRQ_INFO;

export const steps = {
  ...virqfd,
  ...intx,
  ...msi,
  ...arrivals,

  /** vfio_pci_get_irq_count */
  irqCount({ spec }: PciFunction, index: number): number {
    switch (index) {
      case PCI_IRQ.INTX:
        return spec.intx ? 1 : 0;
      case PCI_IRQ.MSI:
        return spec.msi;
      case PCI_IRQ.MSIX:
        return spec.msix;
      case PCI_IRQ.ERR:
        return spec.express ? 1 : 0;
      case PCI_IRQ.REQ:
        return 1;
      default:
        return 0;
    }
  },

  /** vfio_pci_ioctl_get_irq_info */
  getIrqInfo(k: Kernel, pciFunction: PciFunction, block: UserBlock): void {
    answerIrqInfo(k, block, (index) => {
      must(index < PCI_IRQ_COUNT, irqRule["VFIO-DEV-IRQ-3"]);
      return k.intrs.describeIrqs(k, pciFunction, index);
    });
  },

  describeIrqs(k: Kernel, pciFunction: PciFunction, index: number): IrqDescription {
    const count = k.intrs.irqCount(pciFunction, index);
    switch (index) {
      case PCI_IRQ.INTX:
        if (count > 0) k.keeps(rule["VFIO-PCI-IRQ-1"]);
        return { flags: EVENTFD | MASKABLE | AUTOMASKED, count };
      case PCI_IRQ.MSI:
        if (count > 0) k.keeps(rule["VFIO-PCI-IRQ-2"]);
        break;
      case PCI_IRQ.MSIX:
        if (count === 0) break;
        k.keeps(k.since("6.5") ? rule["VFIO-PCI-IRQ-4"] : rule["VFIO-PCI-IRQ-3"]);
        return { flags: k.since("6.5") ? EVENTFD : EVENTFD | NORESIZE, count };
      case PCI_IRQ.ERR:
        if (count > 0) k.keeps(rule["VFIO-PCI-IRQ-5"]);
        break;
      case PCI_IRQ.REQ:
        k.keeps(rule["VFIO-PCI-IRQ-6"]);
        break;
    }
    return { flags: EVENTFD | NORESIZE, count };
  },

  /** vfio_pci_ioctl_set_irqs */
  *setIrqs(k: Kernel, pciFunction: PciFunction, block: UserBlock): Operation<void> {
    const request = readIrqSet(k, block, (index) => k.intrs.irqCount(pciFunction, index), PCI_IRQ_COUNT);
    using _ = yield* k.lock(locksOf(pciFunction).igate);
    yield* k.intrs.dispatchIrqs(k, pciFunction, request);
  },

  /** vfio_pci_set_irqs_ioctl */
  *dispatchIrqs(k: Kernel, pciFunction: PciFunction, request: IrqSetRequest): Operation<void> {
    const { irqs } = pciFunction;
    const action = request.flags & IRQ_ACTION;
    switch (request.index) {
      case PCI_IRQ.INTX:
        if (action === IRQ_SET.MASK) return k.intrs.maskIntx(k, irqs, request);
        if (action === IRQ_SET.UNMASK) return k.intrs.unmaskIntx(k, pciFunction, request);
        if (action === IRQ_SET.TRIGGER) return k.intrs.triggerIntx(k, pciFunction, request);
        break;
      case PCI_IRQ.MSI:
      case PCI_IRQ.MSIX:
        if (action === IRQ_SET.TRIGGER) return yield* k.intrs.triggerVectors(k, pciFunction, request.index, request);
        break;
      case PCI_IRQ.ERR:
      case PCI_IRQ.REQ:
        if (action !== IRQ_SET.TRIGGER) break;
        k.intrs.triggerSingle(k, irqs, request.index, request);
        k.intrs.foreseeRequests(pciFunction);
        return;
    }
    return refuse(rule["VFIO-PCI-SETIRQS-1"]);
  },

  /** The user is asked for a function that leaves from time to time, and so on an eventfd that he sets only now. */
  foreseeRequests({ leaving, irqs }: PciFunction): void {
    const channel = irqs.singles[PCI_IRQ.REQ];
    if (leaving && channel) channel.counting = true;
  },

  /** vfio_pci_set_ctx_trigger_single */
  triggerSingle(k: Kernel, { singles }: FunctionIrqs, index: SingleIndex, { flags, count, data }: IrqSetRequest): void {
    const trigger = singles[index];
    if (flags & IRQ_SET.NONE) {
      must(trigger !== null, rule["VFIO-PCI-SETIRQS-30"]);
      if (count > 0) {
        trigger.signal();
        k.keeps(rule["VFIO-PCI-SETIRQS-36"]);
        return;
      }
      singles[index] = null;
      k.keeps(rule["VFIO-PCI-SETIRQS-35"]);
      return;
    }
    const [first] = data;
    must(first !== undefined, rule["VFIO-PCI-SETIRQS-31"]);
    if (flags & IRQ_SET.BOOL) {
      if (first === 0 || !trigger) return;
      trigger.signal();
      k.keeps(rule["VFIO-PCI-SETIRQS-36"]);
      return;
    }
    if (first < -1) {
      k.intrs.refuseNegative();
      return;
    }
    singles[index] = first === -1 ? null : k.intrs.singleEventfd(k, first);
    k.keeps(rule["VFIO-PCI-SETIRQS-35"]);
  },

  refuseNegative(): void {
    refuse(rule["VFIO-PCI-SETIRQS-32"]);
  },

  singleEventfd(k: Kernel, fd: number): EventCounter {
    const counter = eventfdOf(k, fd, rule["VFIO-PCI-SETIRQS-33"], rule["VFIO-PCI-SETIRQS-34"]);
    k.alloc();
    return counter;
  },

  /** What vfio_pci_core_close_device does to interrupts. */
  *closeIrqs(k: Kernel, pciFunction: PciFunction): Operation<void> {
    const { irqs } = pciFunction;
    if (irqs.trace() !== 0) k.keeps(rule["VFIO-PCI-SETIRQS-37"]);
    k.intrs.disableIntx(k, irqs);
    yield* k.intrs.disableVectors(k, pciFunction);
    irqs.intxDisabled = false;
    using _ = yield* k.lock(locksOf(pciFunction).igate);
    k.intrs.endSingles(irqs);
  },

  endSingles({ singles }: FunctionIrqs): void {
    singles[PCI_IRQ.ERR] = null;
    singles[PCI_IRQ.REQ] = null;
  },
};
