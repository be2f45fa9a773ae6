/** The options that choose a target, and the target that they choose. */
import { availableParallelism } from "node:os";
import { type Command, Option } from "commander";
import { isVariant, VARIANT_NAMES, type Variant } from "../model/kconfig.ts";
import { MODEL_MACHINES, topologyOf } from "../model/model-machines.ts";
import { PROFILES, type Profile, withVariant } from "../model/profile.ts";
import type { Topology } from "../model/topology.ts";
import { FAULTS, findFault } from "../scenarios/faults/all.ts";
import type { Fault } from "../scenarios/faults/fault.ts";
import { inspectDevices } from "../targets/host/devices.ts";
import { startHost } from "../targets/host/target.ts";
import { ensureKernel } from "../targets/kernel/build.ts";
import type { Flavour, Kernel, KernelProgress, KernelRequest } from "../targets/kernel/kernel.ts";
import { LeakWatched } from "../targets/kmemleak.ts";
import { ModelTarget } from "../targets/model.ts";
import { Pool } from "../targets/pool.ts";
import { IOMMU_MACHINE, MACHINES, type QemuMachine } from "../targets/qemu/machines.ts";
import { startQemu } from "../targets/qemu/target.ts";
import type { Target } from "../targets/target.ts";
import { confirmHost } from "./confirm.ts";
import { UsageError } from "./errors.ts";
import { type Progress, stage } from "./progress.ts";
import { parseCount, parseList } from "./values.ts";

/** The options as commander gives them. */
export interface TargetOptions {
  readonly target?: string;
  readonly profile?: string;
  readonly fault?: string;
  readonly kernel?: string;
  readonly config?: string;
  readonly tree?: string;
  readonly flavour?: string;
  readonly kconfig?: string;
  readonly machine?: string;
  readonly jobs?: number;
  readonly device?: readonly string[];
  readonly yes?: boolean;
}

/** What the options choose. */
export type TargetChoice =
  | {
      readonly kind: "model";
      readonly topology: Topology;
      readonly profile: Profile;
      readonly fault: Fault | null;
    }
  | {
      readonly kind: "qemu";
      readonly request: KernelRequest;
      readonly machine: QemuMachine;
      /** Guests at once. */
      readonly jobs: number;
    }
  | { readonly kind: "host"; readonly devices: readonly string[]; readonly yes: boolean };

const DEFAULT_VERSION = "7.2";
/** Guests at once unless told: one core is for the suite itself, which keeps up with some eight of them. */
const GUESTS = Math.max(1, Math.min(8, availableParallelism() - 1));

/** The kinds of target that have an option. */
const OWNERS: Readonly<Record<Exclude<keyof TargetOptions, "target">, readonly TargetChoice["kind"][]>> = {
  profile: ["model"],
  fault: ["model"],
  kernel: ["qemu"],
  config: ["qemu"],
  tree: ["qemu"],
  flavour: ["qemu"],
  kconfig: ["model", "qemu"],
  machine: ["model", "qemu"],
  jobs: ["qemu"],
  device: ["host"],
  yes: ["host"],
};

/** The machines of QEMU, all of which the model has as well. */
const machineNames = MACHINES.map(({ name }) => name);
const modelNames = MODEL_MACHINES.map(({ name }) => name);

/** Adds the options to a command. */
export function addTargetOptions(command: Command): Command {
  return command
    .optionsGroup("Target:")
    .addOption(
      new Option("--target <kind>", "what is tested: the model itself, a kernel in QEMU, or this host's own kernel")
        .choices(["model", "qemu", "host"])
        .default(undefined, "qemu with --kernel or --tree, else model"),
    )
    .optionsGroup("The model (--target model):")
    .addOption(
      new Option("--profile <version>", "kernel that the model stands for")
        .choices(Object.keys(PROFILES))
        .default(undefined, DEFAULT_VERSION),
    )
    .addOption(
      new Option(
        "--kconfig <variant>",
        "other ways in to devices than all of them; also for a kernel that is built",
      ).choices(VARIANT_NAMES),
    )
    .option("--fault <id>", "put this fault into the model; `list faults` tells which there are")
    .optionsGroup("A kernel in QEMU (--target qemu):")
    .option(
      "--kernel <version|bzImage>",
      `a release such as ${DEFAULT_VERSION} or 6.12, or the path of an image (default: ${DEFAULT_VERSION})`,
    )
    .option("--config <file>", "the image's .config, where it is not beside or inside the image")
    .option("--tree <directory>", "build the kernel of this source tree, which is not written to")
    .addOption(
      new Option("--flavour <flavour>", "debug adds lockdep, KASAN, UBSAN and kmemleak, and is slow")
        .choices(["plain", "debug"])
        .default(undefined, "plain"),
    )
    .addOption(
      new Option(
        "--machine <name>",
        "mock has no IOMMU, noiommu neither and no-IOMMU mode on; also for the model, which alone has variants: functions with VFIO drivers of their own",
      )
        .choices([...new Set([...machineNames, ...modelNames])])
        .default(undefined, "iommu"),
    )
    .addOption(
      new Option("--jobs <n>", "guests at once; more than one where there are cores for them")
        .argParser(parseCount)
        .default(undefined, `${GUESTS}`),
    )
    .optionsGroup("This host (--target host):")
    .option("--device <address>", "PCI function to test, such as 0000:06:0d.0; may be repeated", parseList)
    .option("--yes", "do not ask before the devices are taken")
    .optionsGroup("Options:");
}

/** What the options choose; throws UsageError where they do not go together. */
export function chooseTarget(options: TargetOptions): TargetChoice {
  const kind = kindOf(options);
  for (const [name, owners] of Object.entries(OWNERS)) {
    if (owners.includes(kind) || !(name in options)) continue;
    throw new UsageError(`--${name} is for --target ${owners.join(" or ")}, not for --target ${kind}.`);
  }
  switch (kind) {
    case "model":
      return { kind, ...chooseModel(options) };
    case "qemu":
      return {
        kind,
        request: chooseKernel(options),
        machine: chooseMachine(options.machine),
        jobs: options.jobs ?? GUESTS,
      };
    case "host":
      if (!options.device) {
        throw new UsageError(
          "--target host needs --device with the address of each function to test; no other is touched.",
        );
      }
      return { kind, devices: options.device, yes: options.yes ?? false };
  }
}

function kindOf({ target, kernel, tree }: TargetOptions): TargetChoice["kind"] {
  if (target === "model" || target === "qemu" || target === "host") return target;
  return kernel !== undefined || tree !== undefined ? "qemu" : "model";
}

/** The variant that was asked for. */
function chooseVariant({ kconfig }: TargetOptions): { readonly kconfig?: Variant } {
  if (kconfig === undefined) return {};
  if (!isVariant(kconfig)) {
    throw new UsageError(`There is no variant ${kconfig}: choose one of ${VARIANT_NAMES.join(", ")}.`);
  }
  return { kconfig };
}

/** What the model takes in place of a machine of QEMU's. */
function chooseTopology(machine = IOMMU_MACHINE.name): Topology {
  const topology = topologyOf(machine);
  if (!topology) throw new UsageError(`The model has no machine ${machine}: choose one of ${modelNames.join(", ")}.`);
  return topology;
}

function chooseModel({ profile, fault: id, ...options }: TargetOptions): {
  readonly topology: Topology;
  readonly profile: Profile;
  readonly fault: Fault | null;
} {
  const fault = id === undefined ? null : (findFault(id) ?? null);
  if (id !== undefined && !fault) {
    throw new UsageError(`There is no fault ${id}: choose one of ${FAULTS.map((each) => each.id).join(", ")}.`);
  }
  const version = profile ?? fault?.profile ?? DEFAULT_VERSION;
  const chosen = PROFILES[version];
  if (!chosen)
    throw new UsageError(`There is no profile ${version}: choose one of ${Object.keys(PROFILES).join(", ")}.`);
  const { kconfig } = chooseVariant(options);
  const topology = chooseTopology(options.machine ?? fault?.machine);
  return { topology, profile: kconfig ? withVariant(chosen, kconfig) : chosen, fault };
}

function chooseKernel({ kernel, config, tree, flavour: given, ...options }: TargetOptions): KernelRequest {
  const flavour: Flavour = given === "debug" ? "debug" : "plain";
  const variant = chooseVariant(options);
  if (tree !== undefined) {
    if (kernel !== undefined) throw new UsageError("--kernel and --tree both name a kernel: give one of them.");
    if (config !== undefined)
      throw new UsageError("--config is for an image; the suite makes the configuration of a tree.");
    return { kind: "tree", directory: tree, flavour, ...variant };
  }
  const name = kernel ?? DEFAULT_VERSION;
  if (/^\d+\.\d+$/.test(name)) {
    if (config !== undefined)
      throw new UsageError("--config is for an image; the suite makes the configuration of a release.");
    return { kind: "release", version: name, flavour, ...variant };
  }
  if (variant.kconfig !== undefined)
    throw new UsageError("--kconfig is for kernels that the suite builds; an image is what it is.");
  if (given !== undefined)
    throw new UsageError("--flavour is for kernels that the suite builds; an image is what it is.");
  return { kind: "image", path: name, ...(config === undefined ? {} : { configPath: config }) };
}

function chooseMachine(name = IOMMU_MACHINE.name): QemuMachine {
  const machine = MACHINES.find((candidate) => candidate.name === name);
  if (!machine) throw new UsageError(`QEMU has no machine ${name}: choose one of ${machineNames.join(", ")}.`);
  return machine;
}

/** What starting a target takes. */
export interface Starting {
  readonly progress: Progress;
  /** Ends the way to the target; once it is there, whoever has it ends it. */
  readonly signal: AbortSignal;
}

/** Brings the target up: builds and boots a kernel, or asks for leave to use this host. */
export async function startTarget(choice: TargetChoice, { progress, signal }: Starting): Promise<Target> {
  switch (choice.kind) {
    case "model":
      return new ModelTarget(choice.topology, choice.profile, choice.fault ? [choice.fault] : []);
    case "qemu": {
      const kernel = await buildKernel(choice.request, progress, signal);
      return await stage(progress, `boot Linux ${kernel.release}, machine ${choice.machine.name}`, async (tell) => {
        const booting = new AbortController();
        const end = (): void => booting.abort(signal.reason);
        signal.throwIfAborted();
        signal.addEventListener("abort", end);
        // Later the guest is ended by who has the target: it must outlive an interrupt for what it has under way.
        using _ = { [Symbol.dispose]: () => signal.removeEventListener("abort", end) };
        tell("booting");
        const target = await startGuests(kernel, choice, booting);
        tell("up");
        return target;
      });
    }
    case "host": {
      const devices = inspectDevices(choice.devices);
      await confirmHost(devices, choice.yes);
      return await startHost({ devices });
    }
  }
}

/** As many guests as asked for, as one target. When one does not come up, none stays. */
async function startGuests(
  kernel: Kernel,
  { machine, jobs }: Extract<TargetChoice, { readonly kind: "qemu" }>,
  booting: AbortController,
): Promise<Target> {
  const start = async (): Promise<Target> => {
    const guest = await startQemu({ kernel, machine, signal: booting.signal });
    return kernel.config.get("CONFIG_DEBUG_KMEMLEAK") === "y" ? new LeakWatched(guest) : guest;
  };
  const started = await Promise.allSettled(Array.from({ length: jobs }, start));
  const up = started.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  const failed = started.find((each) => each.status === "rejected");
  if (!failed) return Pool.of(up);
  await Promise.all(up.map((guest) => guest[Symbol.asyncDispose]()));
  throw failed.reason;
}

/** A kernel, from the cache or built now, with its way there shown. */
export async function buildKernel(request: KernelRequest, progress: Progress, signal: AbortSignal): Promise<Kernel> {
  const notes: string[] = [];
  const kernel = await stage(progress, "kernel", async (tell) => {
    const built = await ensureKernel(
      request,
      (event) => {
        if (event.stage === "note") notes.push(`${event.kernel}: ${event.line ?? ""}`);
        else tell(describe(event));
      },
      signal,
    );
    tell(`${built.name} (${built.release})`);
    return built;
  });
  for (const note of notes) progress.note(note);
  return kernel;
}

function describe({ kernel, stage: doing, fraction, line }: KernelProgress): string {
  const share = fraction === undefined ? "" : ` ${Math.round(100 * fraction)} %`;
  return `${kernel}, ${doing}${share}${line === undefined ? "" : ` — ${line}`}`;
}
