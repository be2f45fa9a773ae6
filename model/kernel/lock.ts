/**
 * Locks and the order they are taken in.
 *
 * Every lock belongs to a class. Each acquisition adds edges to an order graph from every class held to the class taken;
 * an edge that closes a cycle is an inverted order, reported with both chains even when nothing deadlocked.
 */
import { Credentials } from "./credentials.ts";
import type { Mm } from "./mm.ts";
import { Blocked, type Operation, Unmodelled } from "./operation.ts";

const classes: LockClass[] = [];

/** All locks of one kind, such as every device set's lock. */
export class LockClass {
  readonly name: string;
  readonly index: number;
  constructor(name: string) {
    this.name = name;
    this.index = classes.length;
    classes.push(this);
  }
}

/** Who runs: what it holds, and what it is doing, for reports. */
export class Task {
  readonly id: number;
  readonly held: Lock[] = [];
  /** The memory that it runs in. */
  readonly mm: Mm;
  readonly credentials: Credentials;
  doing = "";
  /** Whether a scheduler lets other tasks run in between. Alone, a task need not stop to ask. */
  preemptible = false;
  /** Whether it may wait for what the program's own task brings about. */
  mayWait = false;
  /** Whether it waits now, with all that it holds. */
  waits = false;
  constructor(id: number, mm: Mm, credentials: Credentials = new Credentials()) {
    this.id = id;
    this.mm = mm;
    this.credentials = credentials;
  }
}

/** One lock. Taking it hands back the lock itself, to be dropped by `using`. */
export class Lock implements Disposable {
  readonly class: LockClass;
  holder: Task | null = null;
  /** Tasks that hold it for reading. */
  readonly readers: Task[] = [];
  constructor(lockClass: LockClass) {
    this.class = lockClass;
  }
  [Symbol.dispose](): void {
    const held = this.holder?.held;
    if (held) {
      const at = held.lastIndexOf(this);
      held.splice(at, 1);
    }
    this.holder = null;
  }
}

/** Thrown when a task takes a lock that it holds already, or that a task holds which will never run again. */
export class Deadlock {
  readonly chain: string;
  constructor(chain: string) {
    this.chain = chain;
  }
}

/** Two chains of acquisitions that contradict each other. */
export interface OrderCycle {
  /** Classes along the older order, first to last, e.g. `dev_set->lock → group->group_lock`, and who showed it. */
  readonly established: string;
  /** The acquisition that inverts it. */
  readonly inverted: string;
}

/** The order graph. It outlives machines: orders learnt from one program are held against the next. */
export class LockOrder {
  readonly #edges = new Map<number, string>();
  readonly #next = new Map<number, number[]>();
  /** Cycles found, each reported once. */
  readonly cycles: OrderCycle[] = [];

  /** Notes that `task` takes `lock` with all it holds. */
  acquired(task: Task, lock: Lock): void {
    for (const held of task.held) {
      const key = held.class.index * 256 + lock.class.index;
      if (!this.#edges.has(key)) this.#learn(key, held.class, lock.class, task);
    }
  }

  #learn(key: number, from: LockClass, to: LockClass, task: Task): void {
    const shown = `${from.name} → ${to.name} (${task.doing})`;
    const back = this.#path(to.index, from.index);
    this.#edges.set(key, shown);
    const next = this.#next.get(from.index);
    if (next) next.push(to.index);
    else this.#next.set(from.index, [to.index]);
    if (back) this.cycles.push({ established: back.join(", "), inverted: shown });
  }

  /** The edges of a path from one class to another, as text, or undefined. A class reaches itself by the empty path. */
  #path(from: number, to: number): string[] | undefined {
    const seen = new Set<number>();
    const walk = (at: number): string[] | undefined => {
      if (at === to) return [];
      if (seen.has(at)) return undefined;
      seen.add(at);
      for (const next of this.#next.get(at) ?? []) {
        const rest = walk(next);
        if (rest) return [this.#edges.get(at * 256 + next) ?? "", ...rest];
      }
      return undefined;
    };
    return walk(from);
  }

  /** Every order learnt, one line each. */
  *[Symbol.iterator](): Iterator<string> {
    yield* this.#edges.values();
  }
}

/** Takes a lock, waiting for it where a scheduler lets others run. Drop it with `using`. */
export function* acquire(task: Task, order: LockOrder, lock: Lock): Operation<Lock> {
  if (task.preemptible) yield lock;
  mustBeFree(task, lock, lock.holder ?? lock.readers.find((reader) => reader !== task) ?? null);
  order.acquired(task, lock);
  lock.holder = task;
  task.held.push(lock);
  return lock;
}

/** A lock that is held for reading, until it is dropped by `using`. */
class Reading implements Disposable {
  readonly #task: Task;
  readonly #lock: Lock;
  constructor(task: Task, lock: Lock) {
    this.#task = task;
    this.#lock = lock;
    lock.readers.push(task);
    task.held.push(lock);
  }
  [Symbol.dispose](): void {
    const { readers } = this.#lock;
    readers.splice(readers.lastIndexOf(this.#task), 1);
    const { held } = this.#task;
    held.splice(held.lastIndexOf(this.#lock), 1);
  }
}

/** down_read: takes a lock for reading, which others may do as well. */
export function* acquireForReading(task: Task, order: LockOrder, lock: Lock): Operation<Disposable> {
  if (task.preemptible) yield lock;
  mustBeFree(task, lock, lock.holder);
  order.acquired(task, lock);
  return new Reading(task, lock);
}

/** A task that waits lets a lock go some time; one that does not never will. */
function mustBeFree(task: Task, lock: Lock, holder: Task | null): void {
  if (holder === null) return;
  if (holder.waits && holder !== task) {
    if (task.mayWait) throw new Unmodelled(`two tasks that wait, one for ${lock.class.name} of the other`);
    throw new Blocked(`${lock.class.name}, which another task holds while it waits`);
  }
  throw new Deadlock(`${task.doing} takes ${lock.class.name}, which task ${holder.id} holds`);
}
