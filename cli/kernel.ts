/** `kernel`: which kernels there are, building one, and where it is. */
import { type Command, Option } from "commander";
import { EXIT_CODE, type ExitCode } from "../campaign/results.ts";
import { VARIANT_NAMES, type Variant } from "../model/kconfig.ts";
import { type Flavour, type KernelRequest, requestName } from "../targets/kernel/kernel.ts";
import { KNOWN_RELEASES, listCache } from "../targets/kernel/list.ts";
import type { ReleaseRequest } from "../targets/kernel/release.ts";
import { UsageError } from "./errors.ts";
import { Interrupt } from "./interrupt.ts";
import { openProgress } from "./progress.ts";
import { table } from "./table.ts";
import { buildKernel } from "./target-options.ts";

interface BuildOptions {
  readonly flavour: Flavour;
  readonly kconfig?: Variant;
  readonly tree?: string;
}

const flavour = (): Option =>
  new Option("--flavour <flavour>", "debug adds lockdep, KASAN, UBSAN and kmemleak")
    .choices(["plain", "debug"])
    .default("plain");

const kconfig = (): Option =>
  new Option("--kconfig <variant>", "other ways in than the flavour has").choices(VARIANT_NAMES);

export function addKernel(program: Command, done: (code: ExitCode) => void): void {
  const kernel = program.command("kernel").description("kernels to test: list, build, find");
  kernel.addHelpText(
    "after",
    `
Examples:
  $ vfio-conformance kernel list
  $ vfio-conformance kernel build 7.2 --flavour debug
  $ vfio-conformance kernel build 7.2 --kconfig no-group
  $ qemu-system-x86_64 -kernel $(vfio-conformance kernel path 7.2) …`,
  );
  kernel
    .command("list")
    .description("releases that the suite knows, and kernels that are built")
    .action(async () => {
      process.stdout.write(await listKernels());
      done(EXIT_CODE.conforms);
    });
  kernel
    .command("build")
    .description("build a kernel, unless it is built already")
    .argument("[version]", "a release such as 7.2")
    .addOption(flavour())
    .addOption(kconfig())
    .option("--tree <directory>", "build this source tree instead of a release")
    .action(async (version: string | undefined, options: BuildOptions) => {
      using interrupt = new Interrupt((text) => process.stderr.write(text));
      const built = await buildKernel(requestOf(version, options), openProgress(process.stderr), interrupt.signal);
      process.stdout.write(`${built.bzImage}\n`);
      done(EXIT_CODE.conforms);
    });
  kernel
    .command("path")
    .description("print the path of a kernel that is built")
    .argument("<version>", "a release such as 7.2")
    .addOption(flavour())
    .addOption(kconfig())
    .action(async (version: string, options: BuildOptions) => {
      process.stdout.write(`${await pathOf({ kind: "release", version, ...options })}\n`);
      done(EXIT_CODE.conforms);
    });
}

function requestOf(version: string | undefined, { tree, ...recipe }: BuildOptions): KernelRequest {
  if (tree !== undefined) {
    if (version !== undefined) throw new UsageError("A version and --tree both name a kernel: give one of them.");
    return { kind: "tree", directory: tree, ...recipe };
  }
  if (version === undefined)
    throw new UsageError("Which kernel? Give a release such as 7.2, or --tree with a source tree.");
  return { kind: "release", version, ...recipe };
}

async function pathOf(request: ReleaseRequest): Promise<string> {
  const name = requestName(request);
  const { kernels } = await listCache();
  const built = kernels
    .flatMap((entry) => (entry.kind === "present" && entry.meta.name === name ? [entry] : []))
    .toSorted((a, b) => a.meta.built.localeCompare(b.meta.built))
    .at(-1);
  if (!built) {
    const { version, flavour, kconfig } = request;
    const variant = kconfig === undefined ? "" : ` --kconfig ${kconfig}`;
    throw new UsageError(`Linux ${name} is not built: run \`kernel build ${version} --flavour ${flavour}${variant}\`.`);
  }
  return `${built.directory}/bzImage`;
}

async function listKernels(): Promise<string> {
  const { root, kernels, leftovers } = await listCache();
  const known = KNOWN_RELEASES.map(({ version, flavours }) => [version, flavours.join(", ")]);
  const built = kernels.map((entry) =>
    entry.kind === "present"
      ? [entry.meta.name, entry.meta.release, entry.meta.built.slice(0, 10), `${entry.directory}/bzImage`]
      : ["broken", "", "", `${entry.directory}: ${entry.why}`],
  );
  const parts = [
    `Releases that can be built:\n${table(known)}`,
    built.length > 0 ? `Built, in ${root}:\n${table(built)}` : `None is built yet in ${root}.`,
    ...(leftovers.length > 0
      ? [`Left over from builds under way or broken off:\n${table(leftovers.map((path) => [path]))}`]
      : []),
  ];
  return `${parts.join("\n\n")}\n`;
}
