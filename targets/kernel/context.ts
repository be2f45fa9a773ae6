// What every step on the way to a kernel needs to know.

import type { Cache } from "./cache.ts";
import type { KernelProgress } from "./kernel.ts";
import { lock } from "./lock.ts";

export interface BuildContext {
  readonly cache: Cache;
  readonly signal: AbortSignal;
  /** Tells how far it is; the kernel's name is filled in. */
  readonly report: (event: Omit<KernelProgress, "kernel">) => void;
}

/** Takes the cache's lock of this name, telling the user when another run holds it. */
export function lockCache(context: BuildContext, name: string): Promise<AsyncDisposable> {
  return lock(`${context.cache.locks}/${name}`, context.signal, () =>
    context.report({ stage: "wait", line: "another run is at work on this; waiting for it to finish" }),
  );
}
