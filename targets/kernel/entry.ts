// One finished kernel in the cache: bzImage, .config, modules, and meta.json, which says what they are.

import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { digestFile, exists, publish } from "./cache.ts";
import { parseConfig } from "./config.ts";
import type { Flavour, Kernel, KernelVersion } from "./kernel.ts";
import type { MakeResult } from "./make.ts";

/** The form of meta.json; another form gets another number, and entries of the old one are built anew. */
const Meta = z.strictObject({
  schema: z.literal(1),
  key: z.string(),
  name: z.string(),
  release: z.string(),
  version: z.strictObject({ major: z.int(), minor: z.int() }),
  flavour: z.enum(["plain", "debug"]),
  sourceVersion: z.string(),
  /** Hash of the configuration asked for and the compiler. */
  recipe: z.string(),
  /** SHA-256 of bzImage. */
  bzImage: z.string(),
  /** File names, in the order of the build. */
  modules: z.array(z.string()),
  built: z.iso.datetime(),
});

/** What meta.json holds. */
export type KernelMeta = z.infer<typeof Meta>;

/** What is known of a kernel beside the files that make left. */
export interface KernelIdentity {
  readonly key: string;
  readonly name: string;
  readonly version: KernelVersion;
  readonly flavour: Flavour;
  readonly sourceVersion: string;
  readonly recipe: string;
}

export type Entry =
  | { readonly kind: "present"; readonly meta: KernelMeta; readonly kernel: Kernel }
  | { readonly kind: "absent" }
  | { readonly kind: "broken"; readonly why: string };

/** Reads an entry and checks that it is whole. */
export async function readEntry(directory: string): Promise<Entry> {
  if (!(await exists(directory))) return { kind: "absent" };
  try {
    const meta = Meta.parse(JSON.parse(await readFile(join(directory, "meta.json"), "utf8")));
    const bzImage = join(directory, "bzImage");
    if ((await digestFile(bzImage)) !== meta.bzImage) return { kind: "broken", why: "bzImage was changed" };
    const modules = meta.modules.map((module) => join(directory, "modules", module));
    for (const module of modules) {
      if (!(await exists(module))) return { kind: "broken", why: `${basename(module)} is missing` };
    }
    const config = parseConfig(await readFile(join(directory, "config"), "utf8"));
    const { key, name, release, version, flavour, sourceVersion } = meta;
    return {
      kind: "present",
      meta,
      kernel: { key, name, release, version, flavour, sourceVersion, bzImage, modules, config },
    };
  } catch (error) {
    if (error instanceof z.ZodError) return { kind: "broken", why: "meta.json is of another form" };
    if (error instanceof SyntaxError) return { kind: "broken", why: "meta.json is no JSON" };
    return { kind: "broken", why: error instanceof Error ? error.message : String(error) };
  }
}

/** Puts what make left into the cache as the entry `directory`, in place of what was there. */
export async function storeEntry(directory: string, identity: KernelIdentity, made: MakeResult): Promise<Kernel> {
  await publish(directory, async (fresh) => {
    await mkdir(join(fresh, "modules"));
    await copyFile(made.bzImage, join(fresh, "bzImage"));
    await copyFile(made.config, join(fresh, "config"));
    for (const module of made.modules) await copyFile(module, join(fresh, "modules", basename(module)));
    const meta: KernelMeta = {
      schema: 1,
      ...identity,
      release: made.release,
      bzImage: await digestFile(made.bzImage),
      modules: made.modules.map((module) => basename(module)),
      built: new Date().toISOString(),
    };
    await writeFile(join(fresh, "meta.json"), `${JSON.stringify(Meta.parse(meta), null, 2)}\n`);
  });
  const entry = await readEntry(directory);
  if (entry.kind !== "present") throw new Error(`the entry just written to ${directory} cannot be read back`);
  return entry.kernel;
}
