/** A task that a program has started: it makes one system call, and others run while it waits. */
import { type Clause, Refusal } from "./clause.ts";
import type { Kernel } from "./kernel.ts";
import { Task } from "./lock.ts";
import { Mm } from "./mm.ts";
import { type Operation, Wait } from "./operation.ts";

/** What came of a task's call. */
export interface TaskResult {
  /** What the call gave, or a negative errno. */
  readonly ret: number;
  readonly refusedBy: Clause | null;
}

export class StartedTask {
  /** null while it waits. */
  result: TaskResult | null = null;
  readonly #task: Task;
  readonly #operation: Operation<number>;
  #wait: Wait | null = null;

  constructor(id: number, operation: Operation<number>) {
    this.#task = new Task(id, new Mm());
    this.#task.mayWait = true;
    this.#operation = operation;
  }

  /** What it waits for, for people. */
  get on(): string {
    return this.#wait?.on ?? "nothing";
  }

  /** Goes on as far as it can; whether it got any further. */
  advance(k: Kernel): boolean {
    if (this.result || (this.#wait && !this.#wait.isOver())) return false;
    const other = k.task;
    k.task = this.#task;
    k.task.waits = false;
    k.task.doing = "write";
    try {
      this.#run();
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      this.result = { ret: -thrown.clause.code, refusedBy: thrown.clause };
    } finally {
      k.task = other;
    }
    this.#task.waits = this.result === null;
    return true;
  }

  /** Runs until the call is over, or has to wait. */
  #run(): void {
    for (;;) {
      const step = this.#operation.next();
      if (step.done) {
        this.result = { ret: step.value, refusedBy: null };
        return;
      }
      if (step.value instanceof Wait && !step.value.isOver()) {
        this.#wait = step.value;
        return;
      }
    }
  }
}
