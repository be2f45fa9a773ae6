// Running other programs: line by line, stoppable, and never outliving us.

import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { finished } from "node:stream/promises";
import { KernelError } from "./errors.ts";

export interface RunOptions {
  readonly cwd?: string;
  /** Added to our own environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  /** Told every line of both streams as it comes. */
  readonly onLine?: (line: string) => void;
  /** A file that is replaced by all lines of both streams. */
  readonly log?: string;
}

/** How a program ended; `status` is 128 + n when signal n ended it, as in a shell. */
export interface RunResult {
  readonly status: number;
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
}

/** How long a program that was asked to end may take, in milliseconds. */
const GRACE = 5_000;

/** Ends a process group, politely at first. The returned function calls the second step off. */
function endGroup(child: ChildProcess): () => void {
  const kill = (signal: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch {
      // The group is gone already.
    }
  };
  kill("SIGTERM");
  const timer = setTimeout(() => kill("SIGKILL"), GRACE);
  return () => clearTimeout(timer);
}

/**
 * Runs a program to its end. A non-zero status is a result, not an error; a program that is not installed is a
 * KernelError; an abort ends the program with all its children and throws the signal's reason.
 */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  const { signal, onLine } = options;
  signal.throwIfAborted();
  // A group of its own, so that an abort reaches the children of make; and the parent's death reaches make.
  const child = spawn("setpriv", ["--pdeathsig", "TERM", command, ...args], {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, LC_ALL: "C", ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const log = options.log === undefined ? undefined : createWriteStream(options.log);
  // A log that cannot be written must not end the process; `finished` below reports it.
  log?.on("error", () => {});
  const collect = async (stream: NodeJS.ReadableStream): Promise<readonly string[]> => {
    const lines: string[] = [];
    for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
      lines.push(line);
      log?.write(`${line}\n`);
      onLine?.(line);
    }
    return lines;
  };

  let callOff = () => {};
  const abort = () => {
    callOff = endGroup(child);
  };
  signal.addEventListener("abort", abort, { once: true });
  try {
    const ended = new Promise<number>((resolve, reject) => {
      child.once("error", () => reject(new KernelError(`setpriv is missing: install util-linux.`)));
      child.once("exit", (code, name) => resolve(code ?? (name === "SIGKILL" ? 137 : 143)));
    });
    const [status, stdout, stderr] = await Promise.all([ended, collect(child.stdout), collect(child.stderr)]);
    signal.throwIfAborted();
    if (status === 127 && stderr.some((line) => line.startsWith("setpriv:"))) {
      throw new KernelError(`${command} is missing: install it, or give a finished kernel with --kernel bzImage.`);
    }
    return { status, stdout, stderr };
  } finally {
    signal.removeEventListener("abort", abort);
    callOff();
    if (log) {
      log.end();
      await finished(log).catch(() => {});
    }
  }
}
