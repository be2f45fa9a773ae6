/**
 * Operations: what the kernel does for one system call, as generator functions.
 *
 * An operation yields where another task could run (before it takes a lock, or while it waits). Run straight through it
 * is as fast as a plain function; handed to a scheduler, operations of several tasks interleave at these points.
 */
import type { Lock } from "./lock.ts";

/** A place where the running task may be preempted. */
export type Point = Lock;

export type Operation<T> = Generator<Point, T, undefined>;

/** Runs an operation without letting anything else run in between. */
export function runStraight<T>(operation: Operation<T>): T {
  for (;;) {
    const step = operation.next();
    if (step.done) return step.value;
  }
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
