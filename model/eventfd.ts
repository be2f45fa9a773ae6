/** Event descriptors: a counter that interrupts are signalled on. Beside fs/eventfd.c. */
import { type Clause, clauses, must, refuse } from "./kernel/clause.ts";
import { File, type Transfer } from "./kernel/file.ts";
import type { Kernel } from "./kernel/kernel.ts";
import { type Operation, Unmodelled } from "./kernel/operation.ts";
import { rule as vfsRule } from "./kernel/vfs.ts";
import { writeValue } from "./uapi/layout.ts";
import { POLL } from "./uapi/poll.ts";
import { U64_MAX } from "./uapi/u64.ts";

const source = (name: string) => `fs/eventfd.c:${name}`;

export const rule = clauses({
  "EVENTFD-READ-1": {
    rule: "the buffer must have room for the counter",
    errno: "EINVAL",
    source: source("eventfd_read"),
  },
  "EVENTFD-READ-2": {
    rule: "the buffer must be writable; the counter is reset all the same",
    errno: "EFAULT",
    partial: true,
    source: source("eventfd_read"),
  },
  "EVENTFD-READ-3": {
    rule: "the buffer brings the counter, which is 0 from then on",
    source: source("eventfd_read"),
    observable: "output",
  },
  "EVENTFD-READ-4": {
    rule: "where the counter is 0 there is nothing to read",
    errno: "EAGAIN",
    source: source("eventfd_read"),
  },
  "EVENTFD-POLL-1": {
    rule: "it can be read while the counter is not 0, and written while there is room for one more",
    source: source("eventfd_poll"),
    observable: "output",
  },
  "EVENTFD-POLL-2": {
    rule: "a counter that signals have brought to the largest number is an error",
    source: source("eventfd_poll"),
    observable: "output",
  },
  "EVENTFD-WRITE-1": {
    rule: "what is written must be as long as the counter, or longer",
    errno: "EINVAL",
    source: source("eventfd_write"),
    until: "6.8",
  },
  "EVENTFD-WRITE-2": {
    rule: "what is written must be as long as the counter",
    errno: "EINVAL",
    source: source("eventfd_write"),
    since: "6.9",
  },
  "EVENTFD-WRITE-3": {
    rule: "the buffer must be readable",
    errno: "EFAULT",
    source: source("eventfd_write"),
  },
  "EVENTFD-WRITE-4": {
    rule: "the largest number can't be added",
    errno: "EINVAL",
    source: source("eventfd_write"),
  },
  "EVENTFD-WRITE-5": {
    rule: "what the counter has no room for can't be added",
    errno: "EAGAIN",
    source: source("eventfd_write"),
  },
});

const WIDTH = 8;

/** Somebody in the kernel who is told what becomes of an eventfd: an entry of its wait queue. */
export interface EventWaiter {
  /** Something was written, or signalled; whether that is dealt with, so that those behind need not hear of it. */
  woken(): boolean;
  /** The last descriptor is closed: EPOLLHUP. */
  hungUp(): void;
  /** Whether it writes to a function's registers. */
  readonly writesRegisters?: boolean;
  /** Throws Unmodelled where what it would do can't be told. */
  foresee?(): void;
}

/** struct eventfd_ctx: what descriptors and drivers share. */
export class EventCounter {
  count = 0n;
  readonly waiters: EventWaiter[] = [];
  /** Whether some device was told to signal it. */
  signalled = false;
  /** Whether it is signalled again and again as time goes by: it has counted what is known, or more. */
  counting = false;
  /** How many of them come before the others (WQ_FLAG_PRIORITY). */
  #first = 0;

  /** Whether somebody waits who comes before others. */
  get hasFirst(): boolean {
    return this.#first > 0;
  }

  /** add_wait_queue: before all others but those of waitFirst(). */
  wait(waiter: EventWaiter): void {
    this.waiters.splice(this.#first, 0, waiter);
  }

  /** add_wait_queue_priority: before all others, behind those who did the same. */
  waitFirst(waiter: EventWaiter): void {
    this.waiters.splice(this.#first++, 0, waiter);
  }

  /** eventfd_ctx_remove_wait_queue: what the eventfd has counted goes with the waiter. */
  leave(waiter: EventWaiter): void {
    const at = this.waiters.indexOf(waiter);
    this.waiters.splice(at, 1);
    if (at < this.#first) this.#first--;
    this.count = 0n;
  }

  /** Throws Unmodelled where nobody can tell whether it has been signalled again since it was read. */
  foresee(): void {
    if (this.counting && this.count === 0n) throw new Unmodelled("how often a device was asked for");
  }

  /** eventfd_signal: unlike what is written, signals may bring the counter to the largest number. */
  signal(): void {
    if (this.count < U64_MAX) this.count++;
    this.wake();
  }

  wake(): void {
    for (const waiter of this.waiters) if (waiter.woken()) return;
  }
}

/** eventfd_ctx_fdget: the counter behind a descriptor. */
export function eventfdOf(k: Kernel, fd: number, closed: Clause, foreign: Clause): EventCounter {
  const file = k.fds.get(fd);
  if (file instanceof EventFile) return file.counter;
  return refuse(file ? foreign : closed);
}

/** Programs make theirs with EFD_NONBLOCK: there is nobody to wait for. */
export class EventFile extends File {
  readonly kind = "eventfd";
  override readonly positioned = false;
  readonly counter = new EventCounter();

  constructor() {
    super(2);
  }

  override ioctl(): Operation<number> {
    return refuse(vfsRule["VFS-IOCTL-1"]);
  }

  override poll(k: Kernel): number {
    this.counter.foresee();
    const { count } = this.counter;
    k.keeps(count === U64_MAX ? rule["EVENTFD-POLL-2"] : rule["EVENTFD-POLL-1"]);
    return (
      (count > 0n ? POLL.POLLIN : 0) |
      (count < U64_MAX - 1n ? POLL.POLLOUT : 0) |
      (count === U64_MAX ? POLL.POLLERR : 0)
    );
  }

  override *read(k: Kernel, { block, count }: Transfer): Operation<number> {
    must(count >= WIDTH, rule["EVENTFD-READ-1"]);
    const { counter } = this;
    counter.foresee();
    must(counter.count > 0n, rule["EVENTFD-READ-4"]);
    if (counter.counting) {
      const least = counter.count;
      counter.count = k.choose({ at: "field", offset: 0, width: WIDTH }, least, (value) => value >= least);
    }
    const image = new Uint8Array(WIDTH);
    writeValue(new DataView(image.buffer), 0, WIDTH, counter.count);
    counter.count = 0n;
    block.copyTo(image, 0, WIDTH, rule["EVENTFD-READ-2"]);
    k.keeps(rule["EVENTFD-READ-3"]);
    return WIDTH;
  }

  override *write(k: Kernel, { block, count }: Transfer): Operation<number> {
    if (k.since("6.9")) must(count === WIDTH, rule["EVENTFD-WRITE-2"]);
    else must(count >= WIDTH, rule["EVENTFD-WRITE-1"]);
    block.copyFrom(WIDTH, rule["EVENTFD-WRITE-3"]);
    const value = block.u64(0);
    must(value !== U64_MAX, rule["EVENTFD-WRITE-4"]);
    const { counter } = this;
    if (counter.counting && value >= U64_MAX >> 1n) throw new Unmodelled("how much room an eventfd has that counts on");
    must(counter.count + value < U64_MAX, rule["EVENTFD-WRITE-5"]);
    for (const waiter of counter.waiters) waiter.foresee?.();
    counter.count += value;
    counter.wake();
    return WIDTH;
  }

  /** eventfd_release */
  override *release(): Operation<void> {
    for (const waiter of [...this.counter.waiters]) waiter.hungUp();
  }
}
