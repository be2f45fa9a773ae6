// What kernels are known by name, which are in the cache, and what unfinished work takes up its room.

import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { suitesOf } from "./apt.ts";
import { openCache, UNFINISHED } from "./cache.ts";
import { type KernelMeta, readEntry } from "./entry.ts";
import type { Flavour } from "./kernel.ts";
import { lock } from "./lock.ts";

/** A release that the suite is tried with, and where its source is. */
export interface KnownRelease {
  readonly version: string;
  readonly suites: readonly string[];
  readonly flavours: readonly Flavour[];
}

/** The releases to test by default; any other that Debian has a source package of works as well. */
export const KNOWN_RELEASES: readonly KnownRelease[] = ["6.1", "6.12", "7.2"].map((version) => ({
  version,
  suites: suitesOf(version),
  flavours: ["plain", "debug"],
}));

/** An entry of the cache. */
export type CachedKernel =
  | { readonly kind: "present"; readonly directory: string; readonly meta: KernelMeta }
  | { readonly kind: "broken"; readonly directory: string; readonly why: string };

export interface CacheListing {
  readonly root: string;
  /** Releases and kernels of the user's trees. */
  readonly kernels: readonly CachedKernel[];
  /** Directories with sources and objects of builds that were interrupted or kept. */
  readonly leftovers: readonly string[];
}

/** What is in the cache. */
export async function listCache(root?: string): Promise<CacheListing> {
  const cache = await openCache(root);
  const finished = async (directory: string) =>
    (await readdir(directory)).filter((name) => !name.startsWith(UNFINISHED)).map((name) => join(directory, name));
  const releases = await finished(cache.kernels);
  const trees = (await finished(cache.trees)).map((tree) => join(tree, "kernel"));
  const kernels: CachedKernel[] = [];
  for (const directory of [...releases, ...trees]) {
    const entry = await readEntry(directory);
    if (entry.kind === "present") kernels.push({ kind: "present", directory, meta: entry.meta });
    if (entry.kind === "broken") kernels.push({ kind: "broken", directory, why: entry.why });
  }
  const leftovers = (await readdir(cache.work)).map((name) => join(cache.work, name));
  return { root: cache.root, kernels, leftovers };
}

/** Deletes what interrupted or kept builds left, once no run builds; returns what was deleted. */
export async function removeLeftovers(signal: AbortSignal, root?: string): Promise<readonly string[]> {
  const cache = await openCache(root);
  await using _ = await lock(join(cache.locks, "build"), signal);
  const { leftovers } = await listCache(cache.root);
  for (const directory of leftovers) await rm(directory, { recursive: true, force: true });
  return leftovers;
}
