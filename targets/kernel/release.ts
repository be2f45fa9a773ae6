// Kernels from Debian's source packages: planned, looked up in the cache, and built when they are not there.

import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { OutdatedListsError, type Package, PrivateApt } from "./apt.ts";
import { type Cache, digest, diskFull, exists, publish, requireSpace, sweepUnfinished } from "./cache.ts";
import { type ConfigOption, digestOptions, readFragments, selectOptions } from "./config.ts";
import { type BuildContext, lockCache } from "./context.ts";
import { type KernelIdentity, readEntry, storeEntry } from "./entry.ts";
import { KernelError } from "./errors.ts";
import { type Kernel, type KernelRequest, type KernelVersion, parseVersion, requestName } from "./kernel.ts";
import { type MakeJob, makeKernel } from "./make.ts";
import { compilerVersion, requirePrerequisites } from "./prerequisites.ts";
import { run } from "./run.ts";
import { variantFragment } from "./variant.ts";

export type ReleaseRequest = Extract<KernelRequest, { readonly kind: "release" }>;

/** What is asked for, before it is known which point release the archive has. */
export interface ReleasePlan {
  readonly request: ReleaseRequest;
  readonly name: string;
  readonly version: KernelVersion;
  readonly options: readonly ConfigOption[];
  /** Hash of the options and the compiler. */
  readonly recipe: string;
}

/** Bytes that the unpacked source takes, with its archive beside it while it is unpacked. */
const SOURCE_SPACE = 2 * 2 ** 30;

/** Reads a request; throws when its version is none. */
export async function planRelease(request: ReleaseRequest, signal: AbortSignal): Promise<ReleasePlan> {
  const version = /^\d+\.\d+$/.test(request.version) ? parseVersion(request.version) : undefined;
  if (!version) {
    throw new KernelError(
      `“${request.version}” is no kernel release: give one such as 6.12, a source tree with --tree or a finished kernel with --kernel bzImage.`,
    );
  }
  const fragments = await readFragments(request.flavour, request.extra);
  const options = selectOptions([...fragments, ...variantFragment(request.kconfig, version)], version);
  const recipe = digest(digestOptions(options), await compilerVersion(signal));
  return { request, name: requestName(request), version, options, recipe };
}

/** The plan's kernel as built from a source package of this version. */
export function identifyRelease(plan: ReleasePlan, sourceVersion: string): KernelIdentity {
  const { name, version, recipe, request } = plan;
  const key = `${request.version}-${request.flavour}-${digest(sourceVersion, recipe).slice(0, 12)}`;
  return { key, name, version, flavour: request.flavour, sourceVersion, recipe };
}

/** How a kernel of this plan is made from the source in one directory, with its objects in another. */
export function releaseJob(plan: ReleasePlan, key: string, cache: Cache, source: string, output: string): MakeJob {
  const { name, options } = plan;
  const log = join(cache.logs, `${key}.log`);
  return { name, flavour: plan.request.flavour, source, output, offered: options, required: options, log };
}

/**
 * Where one call builds releases: its flavours share the unpacked sources, and no other run builds at the same time.
 * What was stored is deleted here unless it is to be kept; after a failure all stays, and the next run goes on from it.
 */
export class Workshop implements AsyncDisposable {
  private readonly sources = new Set<string>();
  private building: AsyncDisposable | undefined;

  constructor(
    private readonly cache: Cache,
    private readonly keepTree: boolean,
  ) {}

  /** Waits until no other run builds releases; from then on this one does. */
  async enter(context: BuildContext): Promise<void> {
    if (this.building) return;
    this.building = await lockCache(context, "build");
    await sweepUnfinished(this.cache.work);
    await sweepUnfinished(this.cache.kernels);
  }

  /** The directory of a release's source. */
  async unpack(release: string, found: Package, context: BuildContext): Promise<string> {
    const target = join(this.cache.work, basename(found.file, ".deb"));
    this.sources.add(target);
    if (await exists(target)) return target;
    const archive = await PrivateApt.with(context, release, (apt) => apt.download(found));
    await requireSpace(this.cache.work, SOURCE_SPACE, `unpacking ${found.name}`);
    context.report({ stage: "unpack", line: found.file });
    await publish(target, async (directory) => {
      const wrapped = `${directory}-deb`;
      try {
        await this.extract("dpkg-deb", ["--extract", archive, wrapped], context);
        const tarball = join(wrapped, "usr/src", `${found.name}.tar.xz`);
        await this.extract("tar", ["-xf", tarball, "-C", directory, "--strip-components=1"], context);
      } finally {
        await rm(wrapped, { recursive: true, force: true });
      }
    });
    return target;
  }

  /** Deletes the objects of a kernel that is stored. */
  async discard(output: string): Promise<void> {
    if (!this.keepTree) await rm(output, { recursive: true, force: true });
  }

  /** Deletes the sources, once all kernels are stored. */
  async clear(): Promise<void> {
    for (const source of this.sources) await this.discard(source);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.building?.[Symbol.asyncDispose]();
  }

  private async extract(command: string, args: readonly string[], context: BuildContext): Promise<void> {
    const { status, stderr } = await run(command, args, { signal: context.signal });
    if (status === 0) return;
    if (stderr.some((line) => /No space left/.test(line))) throw diskFull(this.cache.work, stderr.slice(-3));
    throw new KernelError(
      `${command} cannot unpack the kernel's source: delete what is in ${this.cache.sources} and run again.`,
      stderr.slice(-3),
    );
  }
}

/** A release from the cache, or built into it. `refresh` asks the archive for a newer point release. */
export async function ensureRelease(
  request: ReleaseRequest,
  workshop: Workshop,
  refresh: boolean,
  context: BuildContext,
): Promise<Kernel> {
  const plan = await planRelease(request, context.signal);
  context.report({ stage: "resolve" });
  let found: Package;
  try {
    found = await PrivateApt.with(context, request.version, (apt) =>
      apt.find(`linux-source-${request.version}`, refresh),
    );
  } catch (error) {
    const built = error instanceof KernelError ? await findByRecipe(plan, context.cache) : undefined;
    if (!(error instanceof KernelError) || !built) throw error;
    context.report({ stage: "note", line: `${error.message} Using ${built.release}, built before.` });
    return built;
  }

  const identity = identifyRelease(plan, found.version);
  const directory = join(context.cache.kernels, identity.key);
  const before = await readEntry(directory);
  if (before.kind === "present") return before.kernel;

  await requirePrerequisites(context.signal);
  await workshop.enter(context);
  const meanwhile = await readEntry(directory);
  if (meanwhile.kind === "present") return meanwhile.kernel;
  if (meanwhile.kind === "broken") {
    context.report({ stage: "note", line: `the cached ${plan.name} is broken (${meanwhile.why}) and is built anew` });
  }
  let source: string;
  try {
    source = await workshop.unpack(request.version, found, context);
  } catch (error) {
    // The archive has a newer point release by now, whose kernel has another key.
    if (error instanceof OutdatedListsError && !refresh) return await ensureRelease(request, workshop, true, context);
    throw error;
  }
  const output = join(context.cache.work, identity.key);
  const made = await makeKernel(releaseJob(plan, identity.key, context.cache, source, output), context);
  context.report({ stage: "store" });
  const kernel = await storeEntry(directory, identity, made);
  await workshop.discard(output);
  return kernel;
}

/** A cached kernel of the same release, options and compiler, whichever point release it is. */
async function findByRecipe(plan: ReleasePlan, cache: Cache): Promise<Kernel | undefined> {
  const prefix = `${plan.request.version}-${plan.request.flavour}-`;
  for (const key of await readdir(cache.kernels)) {
    if (!key.startsWith(prefix)) continue;
    const entry = await readEntry(join(cache.kernels, key));
    if (entry.kind === "present" && entry.meta.recipe === plan.recipe) return entry.kernel;
  }
  return undefined;
}
