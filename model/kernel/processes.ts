/** Processes that a program has made, each with memory of its own (kernel/fork.c). They share the program's descriptors: CLONE_FILES. */
import type { Kernel } from "./kernel.ts";
import { Task } from "./lock.ts";

export class Processes {
  readonly #k: Kernel;
  /** Those that have not ended, by their handles. */
  readonly #running = new Map<string, Task>();

  constructor(k: Kernel) {
    this.#k = k;
  }

  /** Who makes a call: the process of that handle, or the program where there is none or it has ended. */
  find(handle: string | undefined): Task {
    return (handle !== undefined && this.#running.get(handle)) || this.#k.task;
  }

  /** clone(2): the process holds what the program's memory holds, and may do what the program may. */
  fork(handle: string): void {
    const { mms, task } = this.#k;
    const mm = task.mm.fork();
    mms.push(mm);
    this.#running.set(handle, new Task(mms.length, mm, task.credentials.copy()));
  }

  /** Ends a process that is there. */
  end(handle: string): void {
    const task = this.#running.get(handle);
    if (!task) return;
    task.mm.gone = true;
    this.#running.delete(handle);
  }

  /** Ends them all, as the program does before it ends itself. */
  endAll(): void {
    for (const handle of [...this.#running.keys()]) this.end(handle);
  }
}
