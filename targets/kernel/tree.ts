// A kernel from the user's own source tree: built out of tree, incrementally, without a write to the tree.

import { readFile, realpath } from "node:fs/promises";
import { basename, join } from "node:path";
import { digest, digestFile, exists } from "./cache.ts";
import { digestOptions, offeredOptions, readFragments, selectOptions } from "./config.ts";
import { type BuildContext, lockCache } from "./context.ts";
import { storeEntry } from "./entry.ts";
import { KernelError } from "./errors.ts";
import { type Kernel, type KernelRequest, parseVersion } from "./kernel.ts";
import { makeKernel } from "./make.ts";
import { compilerVersion, requirePrerequisites } from "./prerequisites.ts";
import { run } from "./run.ts";
import { variantFragment } from "./variant.ts";

export type TreeRequest = Extract<KernelRequest, { readonly kind: "tree" }>;

/** What an earlier build inside the tree leaves; make refuses to build elsewhere while any of it is there. */
const IN_TREE_BUILD = [".config", "include/config", "arch/x86/include/generated"];

/** Builds what changed in the tree since the last time. */
export async function ensureTree(request: TreeRequest, context: BuildContext): Promise<Kernel> {
  const source = await realpath(request.directory).catch(() => undefined);
  if (source === undefined || !(await isKernelTree(source))) {
    throw new KernelError(
      `${request.directory} is no Linux source tree: give the directory with its Kbuild and Makefile.`,
    );
  }
  await requireCleanTree(source);
  await requirePrerequisites(context.signal);
  return await buildTree(request, source, context);
}

/** Builds a tree that is known to be one and clean. */
export async function buildTree(request: TreeRequest, source: string, context: BuildContext): Promise<Kernel> {
  const { signal, cache } = context;
  const said = await run("make", ["-s", "-C", source, "--no-print-directory", "kernelversion"], { signal });
  const kernelVersion = said.stdout.at(-1)?.trim() ?? "";
  const version = parseVersion(kernelVersion);
  if (said.status !== 0 || !version) {
    throw new KernelError(`“make kernelversion” in ${source} names no version: mend the tree's Makefile.`, said.stderr);
  }
  const fragments = await readFragments(request.flavour, request.extra);
  const all = [...fragments, ...variantFragment(request.kconfig, version)];
  const required = selectOptions(all, version);
  const offered = offeredOptions(all, version);
  const recipe = digest(digestOptions(offered), await compilerVersion(signal));
  const variant = request.kconfig === undefined ? "" : `-${request.kconfig}`;
  const name = `${kernelVersion} ${request.flavour}${variant.replace("-", " ")} of ${source}`;

  // Other options of the same tree have objects of their own; or a Kconfig matrix would rebuild all every time.
  const extra = request.extra?.length ? `-${digest(...request.extra).slice(0, 6)}` : "";
  const id = `${basename(source)}-${digest(source).slice(0, 8)}-${request.flavour}${variant}${extra}`;
  await using _ = await lockCache(context, `tree-${id}`);
  const output = join(cache.trees, id, "objects");
  const log = join(cache.logs, `${id}.log`);
  const made = await makeKernel({ name, flavour: request.flavour, source, output, offered, required, log }, context);
  context.report({ stage: "store" });
  const key = `tree-${id}-${digest(await digestFile(made.bzImage), recipe).slice(0, 12)}`;
  const sourceVersion = await describe(source, kernelVersion, signal);
  const identity = { key, name, version, flavour: request.flavour, sourceVersion, recipe };
  return await storeEntry(join(cache.trees, id, "kernel"), identity, made);
}

/** Throws when the tree was built in; cleaning it is the user's to do. */
export async function requireCleanTree(source: string): Promise<void> {
  for (const trace of IN_TREE_BUILD) {
    if (!(await exists(join(source, trace)))) continue;
    throw new KernelError(
      `${source} holds a build of its own (${trace}), so nothing can be built from it elsewhere: run “make mrproper” there, or give what it built with --kernel bzImage.`,
    );
  }
}

async function isKernelTree(source: string): Promise<boolean> {
  const makefile = await readFile(join(source, "Makefile"), "utf8").catch(() => "");
  return /^PATCHLEVEL = /m.test(makefile) && (await exists(join(source, "Kbuild")));
}

/** What git calls the tree's state, without a write even to git's index. */
async function describe(source: string, otherwise: string, signal: AbortSignal): Promise<string> {
  if (!(await exists(join(source, ".git")))) return otherwise;
  const args = ["--no-optional-locks", "-C", source, "describe", "--always", "--dirty"];
  const { status, stdout } = await run("git", args, { signal });
  return status === 0 ? (stdout[0] ?? otherwise) : otherwise;
}
