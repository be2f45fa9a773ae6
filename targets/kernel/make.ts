// Configuring and building a kernel out of tree with its own make.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { diskFull, exists, requireSpace } from "./cache.ts";
import { type ConfigOption, formatFragment, parseConfig, verifyConfig } from "./config.ts";
import type { BuildContext } from "./context.ts";
import { KernelError } from "./errors.ts";
import type { Flavour } from "./kernel.ts";
import { run } from "./run.ts";

/** A kernel to be made: where its source is and where its objects go. */
export interface MakeJob {
  /** As in `Kernel.name`. */
  readonly name: string;
  readonly flavour: Flavour;
  readonly source: string;
  readonly output: string;
  /** What the configuration is offered. */
  readonly offered: readonly ConfigOption[];
  /** What it must have in the end. */
  readonly required: readonly ConfigOption[];
  /** Receives all that make says. */
  readonly log: string;
}

/** What make left in the output directory. Paths are absolute. */
export interface MakeResult {
  readonly release: string;
  readonly bzImage: string;
  readonly config: string;
  readonly modules: readonly string[];
}

/** How many files are compiled, about: measured with 6.12 and 7.2. */
const COMPILATIONS: Readonly<Record<Flavour, number>> = { plain: 1320, debug: 1400 };

/** Bytes of disk that objects and links take at their peak. */
const OBJECT_SPACE = 2 * 2 ** 30;

/** How many lines of a failed build are worth showing. */
const TAIL = 15;

/** Nothing of the caller's environment may change what is built or where. */
const CLEAN_ENVIRONMENT = {
  ARCH: "x86",
  CROSS_COMPILE: undefined,
  KBUILD_OUTPUT: undefined,
  KCONFIG_CONFIG: undefined,
  KCFLAGS: undefined,
  LOCALVERSION: undefined,
  MAKEFLAGS: undefined,
  MAKELEVEL: undefined,
  O: undefined,
  // Scripts of the build would leave compiled files in the source tree.
  PYTHONDONTWRITEBYTECODE: "1",
};

/** Writes the output directory's `.config` from allnoconfig and the job's options, and checks that all of them came. */
export async function configureKernel(job: MakeJob, context: BuildContext): Promise<ReadonlyMap<string, string>> {
  context.report({ stage: "configure" });
  await mkdir(job.output, { recursive: true });
  const fragment = join(job.output, "fragment");
  await writeFile(fragment, formatFragment(job.offered));
  await make(job, ["allnoconfig"], context, { KCONFIG_ALLCONFIG: fragment });
  const config = parseConfig(await readFile(join(job.output, ".config"), "utf8"));
  verifyConfig(job.required, config, job.name);
  return config;
}

/** Configures and builds; what is built already and up to date is not built again. */
export async function makeKernel(job: MakeJob, context: BuildContext): Promise<MakeResult> {
  const fresh = !(await exists(join(job.output, "vmlinux.o")));
  const config = await configureKernel(job, context);
  if (fresh) await requireSpace(job.output, OBJECT_SPACE, `building ${job.name}`);

  const targets = config.get("CONFIG_MODULES") === "y" ? ["bzImage", "modules"] : ["bzImage"];
  let compiled = 0;
  context.report({ stage: "build", ...(fresh ? { fraction: 0 } : {}) });
  await make(job, [`-j${availableParallelism()}`, ...targets], context, {}, (line) => {
    if (/^ {2}CC (\[M\])? /.test(line)) compiled++;
    // How much of a build is left when part of it was done before is not known.
    const fraction = fresh ? { fraction: Math.min(0.99, compiled / COMPILATIONS[job.flavour]) } : {};
    context.report({ stage: "build", line: line.trim(), ...fraction });
  });

  return await collectResult(job.output);
}

/** What a finished build left in its output directory. */
export async function collectResult(output: string): Promise<MakeResult> {
  const modules = await readFile(join(output, "modules.order"), "utf8").catch(() => "");
  return {
    release: (await readFile(join(output, "include/config/kernel.release"), "utf8")).trim(),
    bzImage: join(output, "arch/x86/boot/bzImage"),
    config: join(output, ".config"),
    // Some kernels list the modules here, others the objects that they are linked from.
    modules: modules
      .split("\n")
      .filter(Boolean)
      .map((line) => join(output, line.replace(/\.o$/, ".ko"))),
  };
}

async function make(
  job: MakeJob,
  args: readonly string[],
  context: BuildContext,
  env: Readonly<Record<string, string>>,
  onLine: (line: string) => void = () => {},
): Promise<void> {
  const { status, stderr, stdout } = await run("make", ["-C", job.source, `O=${job.output}`, ...args], {
    env: { ...CLEAN_ENVIRONMENT, ...env },
    signal: context.signal,
    log: job.log,
    onLine,
  });
  if (status === 0) return;
  const said = [...stdout.filter((line) => /error|\*\*\*/i.test(line)), ...stderr];
  if (said.some((line) => /No space left on device/.test(line))) throw diskFull(job.output, said.slice(-TAIL));
  throw new KernelError(
    `make ${args.at(-1)} of ${job.name} failed with status ${status}: its log is ${job.log}.`,
    said.slice(-TAIL),
  );
}
