/**
 * Operations: what the kernel does for one system call, as generator functions.
 *
 * An operation yields where another task could run (before it takes a lock, or while it waits). Run straight through it
 * is as fast as a plain function; handed to a scheduler, operations of several tasks interleave at these points.
 */
import type { Lock } from "./lock.ts";

/** Something that a task waits for, and that others bring about. */
export class Wait {
  /** What it waits for, for people. */
  readonly on: string;
  /** Whether it has come about. */
  readonly isOver: () => boolean;
  constructor(on: string, isOver: () => boolean) {
    this.on = on;
    this.isOver = isOver;
  }
}

/** A place where the running task may be preempted, or has to wait. */
export type Point = Lock | Wait;

export type Operation<T> = Generator<Point, T, undefined>;

/** Runs an operation without letting anything else run in between. Throws Blocked, within it, where it would wait. */
export function runStraight<T>(operation: Operation<T>): T {
  let step = operation.next();
  while (!step.done) {
    const { value } = step;
    const waits = value instanceof Wait && !value.isOver();
    step = waits ? operation.throw(new Blocked(value.on)) : operation.next();
  }
  return step.value;
}

/** Thrown by an operation that would wait for something that only another task can bring. */
export class Blocked {
  /** What it waits for, for people. */
  readonly on: string;
  constructor(on: string) {
    this.on = on;
  }
}

/** Thrown where the model does not say what a kernel must answer; such a call is reported as not comparable. */
export class Unmodelled {
  readonly what: string;
  constructor(what: string) {
    this.what = what;
  }
}
