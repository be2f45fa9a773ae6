// The user's cache directory: where things are in it, and how they get there whole or not at all.

import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, statfs } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { isDiskFull, KernelError } from "./errors.ts";

/** The folders of the cache. All exist once it was opened. */
export interface Cache {
  readonly root: string;
  /** Private state of apt: configuration, lists. */
  readonly apt: string;
  /** Downloaded source packages. */
  readonly sources: string;
  /** Finished kernels, one folder each, named by their key. */
  readonly kernels: string;
  /** Objects and results of the user's own trees, one folder per tree and flavour. */
  readonly trees: string;
  /** Unpacked sources and objects while a release is being built. */
  readonly work: string;
  /** Logs of builds. */
  readonly logs: string;
  readonly locks: string;
}

/** `$XDG_CACHE_HOME/vfio-conformance`, or the same under `~/.cache`. A relative value does not count, as XDG has it. */
export function cacheRoot(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const { XDG_CACHE_HOME: base, HOME: home } = env;
  return join(base && isAbsolute(base) ? base : join(home || homedir(), ".cache"), "vfio-conformance");
}

/** Opens the cache and makes its folders. */
export async function openCache(root: string = cacheRoot()): Promise<Cache> {
  const cache: Cache = {
    root,
    apt: join(root, "apt"),
    sources: join(root, "sources"),
    kernels: join(root, "kernels"),
    trees: join(root, "trees"),
    work: join(root, "work"),
    logs: join(root, "logs"),
    locks: join(root, "locks"),
  };
  try {
    for (const directory of Object.values(cache)) await mkdir(directory, { recursive: true });
  } catch (error) {
    if (isDiskFull(error)) throw diskFull(root);
    throw new KernelError(
      `cannot write to the cache directory ${root}: set XDG_CACHE_HOME to a directory that you may write to.`,
    );
  }
  return cache;
}

/** What begins the name of something unfinished. */
export const UNFINISHED = ".unfinished-";

/** Deletes what a run that died left unfinished; the caller holds the lock under which such things are made. */
export async function sweepUnfinished(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (name.startsWith(UNFINISHED)) await rm(join(directory, name), { recursive: true, force: true });
  }
}

/**
 * Makes a directory appear whole: `fill` writes it under another name, then it is renamed to `target`, in place of
 * what was there. When `fill` fails, `target` is what it was before.
 */
export async function publish<T>(target: string, fill: (directory: string) => Promise<T>): Promise<T> {
  const fresh = await mkdtemp(join(dirname(target), UNFINISHED));
  const old = `${fresh}-old`;
  try {
    const result = await fill(fresh);
    const replaces = await exists(target);
    if (replaces) await rename(target, old);
    await rename(fresh, target);
    if (replaces) await rm(old, { recursive: true, force: true });
    return result;
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    if (isDiskFull(error)) throw diskFull(target);
    throw error;
  }
}

/** Throws unless `needed` bytes are free where `directory` is. */
export async function requireSpace(directory: string, needed: number, purpose: string): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const free = bavail * bsize;
  if (free >= needed) return;
  throw new KernelError(
    `${purpose} needs ${gibibytes(needed)} in ${directory}, where ${gibibytes(free)} are free: make room or set XDG_CACHE_HOME to a larger disk.`,
  );
}

/** The error for a disk that filled up on the way. */
export function diskFull(where: string, detail: readonly string[] = []): KernelError {
  return new KernelError(`the disk with ${where} is full: make room or set XDG_CACHE_HOME to a larger disk.`, detail);
}

/** Whether something is there. */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** The SHA-256 of some texts in their order, in hex. */
export function digest(...texts: readonly string[]): string {
  const hash = createHash("sha256");
  // Each with its length, so that no two lists of texts run together to the same bytes.
  for (const text of texts) hash.update(`${text.length}:${text}`);
  return hash.digest("hex");
}

/** The SHA-256 of a file's bytes, in hex. */
export async function digestFile(path: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
