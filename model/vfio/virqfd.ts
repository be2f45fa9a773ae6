/** Eventfds that have the kernel do something: struct virqfd. Beside drivers/vfio/virqfd.c. */
import { type EventCounter, type EventWaiter, eventfdOf } from "../eventfd.ts";
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";

const source = "drivers/vfio/virqfd.c:vfio_virqfd_enable";
const fdget = "fs/eventfd.c:eventfd_ctx_fdget";

export const rule = clauses({
  "VFIO-VIRQFD-1": { rule: "the eventfd must be an open descriptor", errno: "EBADF", source: fdget },
  "VFIO-VIRQFD-2": { rule: "the eventfd must be one", errno: "EINVAL", source: fdget },
  "VFIO-VIRQFD-3": {
    rule: "another eventfd takes the place only once the first is closed or removed",
    errno: "EBUSY",
    source,
  },
  "VFIO-VIRQFD-4": {
    rule: "what is written to the eventfd is done at once, and counted no more",
    source: "drivers/vfio/virqfd.c:virqfd_wakeup",
    observable: "later-call",
  },
  "VFIO-VIRQFD-5": {
    rule: "what the eventfd counted before is done as well, and stays counted until it is written to, or removed",
    source,
    observable: "later-call",
  },
  "VFIO-VIRQFD-6": {
    rule: "an eventfd whose last descriptor is closed makes room for another",
    source: "drivers/vfio/virqfd.c:virqfd_wakeup",
    observable: "later-call",
  },
});

/** Where a driver keeps one: struct virqfd **pvirqfd. */
export class VirqfdSlot {
  virqfd: Virqfd | null = null;
}

/** struct virqfd */
class Virqfd implements EventWaiter {
  readonly #k: Kernel;
  readonly slot: VirqfdSlot;
  readonly counter: EventCounter;
  readonly handler: () => void;
  readonly foresee: () => void;
  readonly writesRegisters: boolean;

  constructor(k: Kernel, slot: VirqfdSlot, counter: EventCounter, handler: () => void, foresee?: () => void) {
    this.#k = k;
    this.slot = slot;
    this.counter = counter;
    this.handler = handler;
    this.foresee = foresee ?? (() => {});
    this.writesRegisters = foresee !== undefined;
  }

  woken(): boolean {
    this.#k.intrs.wakeup(this.#k, this.counter, this.handler);
    return false;
  }

  hungUp(): void {
    this.counter.leave(this);
    this.slot.virqfd = null;
    this.#k.keeps(rule["VFIO-VIRQFD-6"]);
  }
}

export const steps = {
  /** vfio_virqfd_enable: `handler` runs whenever the eventfd is signalled. One that writes to registers can `foresee` what comes of it. */
  enableVirqfd(k: Kernel, slot: VirqfdSlot, fd: number, handler: () => void, foresee?: () => void): void {
    k.alloc();
    const counter = eventfdOf(k, fd, rule["VFIO-VIRQFD-1"], rule["VFIO-VIRQFD-2"]);
    must(slot.virqfd === null, rule["VFIO-VIRQFD-3"]);
    slot.virqfd = new Virqfd(k, slot, counter, handler, foresee);
    counter.wait(slot.virqfd);
    if (counter.count === 0n) return;
    handler();
    k.keeps(rule["VFIO-VIRQFD-5"]);
  },

  /** vfio_virqfd_disable */
  disableVirqfd(slot: VirqfdSlot): void {
    const { virqfd } = slot;
    if (!virqfd) return;
    virqfd.counter.leave(virqfd);
    slot.virqfd = null;
  },

  /** virqfd_wakeup */
  wakeup(k: Kernel, counter: EventCounter, handler: () => void): void {
    counter.count = 0n;
    handler();
    k.keeps(rule["VFIO-VIRQFD-4"]);
  },
};
