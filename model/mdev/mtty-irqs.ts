/** Interrupts of mtty: one line, or one message, signalled on an eventfd. Beside samples/vfio-mdev/mtty.c:mtty_set_irqs. */
import { type EventCounter, eventfdOf } from "../eventfd.ts";
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { PCI_IRQ_COUNT } from "../vfio/device-info.ts";
import { IRQ_ACTION, IRQ_SET, type IrqSetRequest, readIrqSet } from "../vfio/irqs.ts";
import type { MttyCard } from "./mtty.ts";

const source = "samples/vfio-mdev/mtty.c:mtty_set_irqs";
const header = "include/uapi/linux/vfio.h:VFIO_DEVICE_SET_IRQS";

export const rule = clauses({
  "MTTY-IRQS-1": {
    rule: "MSI-X, error and request interrupts can't be set, nor can MSI be masked",
    errno: "ENOTTY",
    source,
    since: "6.7",
  },
  "MTTY-IRQS-2": {
    rule: "INTx can be masked and unmasked while it is in use, and only the one",
    errno: "EINVAL",
    source,
    since: "6.7",
  },
  "MTTY-IRQS-3": { rule: "INTx can't be masked or unmasked by an eventfd", errno: "ENOTTY", source, since: "6.7" },
  "MTTY-IRQS-4": {
    rule: "no other index may be in use, and each has one interrupt",
    errno: "EINVAL",
    source,
    since: "6.7",
  },
  "MTTY-IRQS-5": {
    rule: "the eventfd must be an open descriptor; where it is not, what was set before stays",
    errno: "EBADF",
    source: "fs/eventfd.c:eventfd_ctx_fdget",
    since: "6.7",
  },
  "MTTY-IRQS-6": {
    rule: "the eventfd must be one; where it is not, what was set before stays",
    errno: "EINVAL",
    source: "fs/eventfd.c:eventfd_ctx_fdget",
    since: "6.7",
  },
  "MTTY-IRQS-7": {
    rule: "an interrupt can be raised by hand once it has an eventfd",
    errno: "EINVAL",
    source: header,
    since: "6.7",
  },
  "MTTY-IRQS-8": {
    rule: "the interrupt is signalled on the eventfd from now on; -1 ends that, and so does a count of 0",
    source: header,
    since: "6.7",
    observable: "later-call",
  },
  "MTTY-IRQS-9": {
    rule: "INTx is masked when it is signalled; until it is unmasked nothing more is",
    source: "include/uapi/linux/vfio.h:VFIO_IRQ_INFO_AUTOMASKED",
    since: "6.7",
    observable: "later-call",
  },
});

const INTX = 0;
const MSI = 1;

/** What of struct mdev_state is about interrupts. */
export class CardIrqs {
  /** The index in use, and where it is signalled. */
  active: { readonly index: number; readonly counter: EventCounter } | null = null;
  /** Whether INTx is masked. */
  masked = false;

  /** mtty_disable_intx and mtty_disable_msi */
  disable(): void {
    this.active = null;
    this.masked = false;
  }

  trace(): number {
    return (this.active ? this.active.index + 1 : 0) * 4096 + (this.masked ? 2048 : 0);
  }
}

export const steps = {
  /** mtty_set_irqs, and what mtty_ioctl does before it */
  *setIrqs(k: Kernel, card: MttyCard, block: UserBlock): Operation<number> {
    const request = readIrqSet(k, block, () => k.samples.irqIndexes(card), PCI_IRQ_COUNT);
    using _ = yield* k.lock(card.opsLock);
    must(request.index <= MSI, rule["MTTY-IRQS-1"]);
    switch (request.flags & IRQ_ACTION) {
      case IRQ_SET.MASK:
      case IRQ_SET.UNMASK:
        must(request.index === INTX, rule["MTTY-IRQS-1"]);
        k.mtty.mask(card.interrupts, request);
        break;
      case IRQ_SET.TRIGGER:
        k.mtty.trigger(k, card.interrupts, request);
        break;
    }
    return 0;
  },

  mask(interrupts: CardIrqs, { flags, start, count, data }: IrqSetRequest): void {
    must(interrupts.active?.index === INTX && start === 0 && count === 1, rule["MTTY-IRQS-2"]);
    must((flags & IRQ_SET.EVENTFD) === 0, rule["MTTY-IRQS-3"]);
    if (flags & IRQ_SET.BOOL && data[0] === 0) return;
    interrupts.masked = (flags & IRQ_SET.MASK) !== 0;
  },

  /** VFIO_IRQ_SET_ACTION_TRIGGER */
  trigger(k: Kernel, interrupts: CardIrqs, { flags, index, start, count, data }: IrqSetRequest): void {
    const isActive = interrupts.active?.index === index;
    if (isActive && count === 0 && flags & IRQ_SET.NONE) {
      interrupts.disable();
      k.keeps(rule["MTTY-IRQS-8"]);
      return;
    }
    must((isActive || !interrupts.active) && start === 0 && count === 1, rule["MTTY-IRQS-4"]);
    if (flags & IRQ_SET.EVENTFD) {
      k.mtty.setEventfd(k, interrupts, index, data[0] ?? -1);
      return;
    }
    must(isActive, rule["MTTY-IRQS-7"]);
    if (flags & IRQ_SET.BOOL && data[0] === 0) return;
    k.mtty.raise(interrupts);
    if (index === INTX) k.keeps(rule["MTTY-IRQS-9"]);
  },

  /** Signals an index on another eventfd, or on none. */
  setEventfd(k: Kernel, interrupts: CardIrqs, index: number, fd: number): void {
    const counter = fd < 0 ? null : eventfdOf(k, fd, rule["MTTY-IRQS-5"], rule["MTTY-IRQS-6"]);
    interrupts.disable();
    if (counter) interrupts.active = { index, counter };
    k.keeps(rule["MTTY-IRQS-8"]);
  },

  /** mtty_trigger_interrupt */
  raise(interrupts: CardIrqs): void {
    const { active, masked } = interrupts;
    if (!active || (active.index === INTX && masked)) return;
    active.counter.signal();
    if (active.index === INTX) interrupts.masked = true;
  },
};
