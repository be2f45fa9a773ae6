// A lock between processes, for things in the cache that only one run may make at a time.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { KernelError } from "./errors.ts";

/** After this many milliseconds without the lock, the caller is told that someone else holds it. */
const PATIENCE = 300;

/**
 * Takes the lock on a file, which is created when missing, and holds it until disposed of.
 *
 * The kernel's own flock(2) holds it, through flock(1) that waits for our end of a pipe to close: however this process
 * dies, the lock goes with it, so there are no stale locks.
 *
 * @param waiting called once when another process holds the lock
 */
export async function lock(
  path: string,
  signal: AbortSignal,
  waiting: () => void = () => {},
): Promise<AsyncDisposable> {
  signal.throwIfAborted();
  // Detached, because Ctrl-C in a terminal must not release the lock before the work under it has ended.
  const holder = spawn("flock", ["--exclusive", path, "sh", "-c", "echo held; exec cat > /dev/null"], {
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  const complaint: Buffer[] = [];
  holder.stderr.on("data", (chunk: Buffer) => complaint.push(chunk));
  const closed = new Promise<void>((resolve) => holder.once("close", () => resolve()));
  const release = async () => {
    holder.stdin.end();
    await closed;
  };

  const timer = setTimeout(waiting, PATIENCE);
  // While it waits for the lock, flock does not look at the pipe.
  const abort = () => holder.kill();
  signal.addEventListener("abort", abort, { once: true });
  try {
    const held = await Promise.race([
      once(holder.stdout, "data").then(() => true),
      once(holder, "close").then(() => false),
    ]).catch((error: unknown) => {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") {
        throw new KernelError("flock is missing: install util-linux.");
      }
      throw error;
    });
    if (signal.aborted) {
      await release();
      signal.throwIfAborted();
    }
    if (!held) throw new KernelError(`cannot lock ${path}: ${Buffer.concat(complaint).toString().trim()}.`);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
  return { [Symbol.asyncDispose]: release };
}
