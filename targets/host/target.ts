/**
 * This host as a target. Only the functions that were named are touched: they are taken from their drivers, bound to
 * vfio-pci for the time of the campaign, and put back.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { Profile } from "../../model/profile.ts";
import type { Program } from "../../model/program.ts";
import type { Topology } from "../../model/topology.ts";
import { versionOfRelease } from "../../model/uapi/version.ts";
import { parseConfig } from "../kernel/config.ts";
import { KVM_DEBUGFS, MDEV_DEVICES, VM_DIRECTORY } from "../lower/paths.ts";
import { AgentTarget, type Session } from "../on-agent.ts";
import { profileOf } from "../profile-of.ts";
import { survey } from "../qemu/survey.ts";
import { readRegisters } from "../registers.ts";
import { setUp } from "../setup.ts";
import { type ProgramRun, type Target, type TargetAbout, TargetError } from "../target.ts";
import { topologyOf } from "../topology-of.ts";
import { connectHost } from "./connect.ts";
import { type HostDevice, putBack, release } from "./devices.ts";

const TIMEOUT_MS = 60_000;
/** Drivers that programs may bind the named functions to: none that does anything with them. */
const DRIVERS = ["vfio-pci", "pci-stub"];

export interface HostOptions {
  /** What `inspectDevices` gave for the functions that were named. */
  readonly devices: readonly HostDevice[];
}

/**
 * Takes the devices and makes this host a target; disposing of it puts them back.
 *
 * @throws TargetError without root's rights, without vfio-pci, or where a device can't be taken.
 */
export async function startHost({ devices }: HostOptions): Promise<Target> {
  if (process.getuid?.() !== 0) throw new TargetError("Programs on this host run as root: start the suite as root.");
  if (!existsSync("/sys/bus/pci/drivers/vfio-pci")) {
    throw new TargetError("This host's kernel has no vfio-pci loaded: load it with: modprobe vfio-pci");
  }
  const release = readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
  const version = versionOfRelease(release);
  if (!version) throw new TargetError(`This host's kernel calls itself ${release}, which is no version of Linux.`);
  const profile = profileOf(version, hostConfig(release));
  const notes = devices.map(({ address, driver }) => `${address} was bound to ${driver ?? "no driver"} before.`);
  const busy = { vms: hasVms(), mdevs: hasMdevs() };
  if (busy.vms) notes.push("VMs were running on this host, so KVM was left alone.");
  if (busy.mdevs) notes.push("There were mediated devices on this host, so none were made.");
  const about: TargetAbout = {
    kind: "host",
    name: `Linux ${release} on this host, ${devices.map(({ address }) => address).join(", ")}`,
    release,
    version,
    kconfig: [...profile.kconfig],
    notes,
  };
  const held = new HeldDevices(devices);
  try {
    const inner = await AgentTarget.start({
      about,
      profile,
      timeoutMs: TIMEOUT_MS,
      start: () => startSession(devices, busy),
    });
    return new HostTarget(inner, held);
  } catch (cause) {
    held[Symbol.dispose]();
    throw cause;
  }
}

async function startSession(
  devices: readonly HostDevice[],
  busy: { readonly vms: boolean; readonly mdevs: boolean },
): Promise<Session> {
  // A driver must not have its device reset under it, which is what the survey does.
  for (const device of devices) release(device);
  const host = await connectHost();
  try {
    const surveyed = await survey(
      host.agent,
      devices.map(({ address }) => address),
    );
    const found = topologyOf("host", surveyed, { hotResetWorks: () => true, romOf: () => null });
    const topology: Topology = {
      ...found,
      drivers: found.drivers.filter((driver) => DRIVERS.includes(driver)),
      // An id that is added to a driver, or the bus's autoprobe, would be about devices that were not named.
      wholeBus: false,
      mdevParents: busy.mdevs ? [] : found.mdevParents.filter((parent) => parent === "mtty" || parent === "mdpy"),
      kvm: found.kvm && !busy.vms,
      // It takes settings that hold for everything that runs here.
      noFailNth: "Allocations of this host's own kernel are not made to fail.",
    };
    await setUp(host.agent, topology, false);
    return {
      agent: host.agent,
      topology: await readRegisters(host.agent, topology),
      console: "",
      [Symbol.asyncDispose]: () => host[Symbol.asyncDispose](),
    };
  } catch (cause) {
    await host[Symbol.asyncDispose]();
    throw cause;
  }
}

/** Devices that are to be put back, whatever ends the process. */
class HeldDevices implements Disposable {
  readonly #devices: readonly HostDevice[];
  readonly #atExit = (): void => {
    for (const sentence of this.#putBack()) process.stderr.write(`${sentence}\n`);
  };

  constructor(devices: readonly HostDevice[]) {
    this.#devices = devices;
    process.on("exit", this.#atExit);
  }

  #putBack(): string[] {
    return this.#devices.map((device) => putBack(device)).filter((sentence) => sentence !== null);
  }

  [Symbol.dispose](): void {
    process.off("exit", this.#atExit);
    const failed = this.#putBack();
    if (failed.length > 0) throw new TargetError(failed.join(" "));
  }
}

class HostTarget implements Target {
  readonly #inner: AgentTarget;
  readonly #held: HeldDevices;

  constructor(inner: AgentTarget, held: HeldDevices) {
    this.#inner = inner;
    this.#held = held;
  }

  get about(): TargetAbout {
    return this.#inner.about;
  }

  get profile(): Profile {
    return this.#inner.profile;
  }

  get topology(): Topology {
    return this.#inner.topology;
  }

  run(programs: Iterable<Program>): AsyncIterable<ProgramRun> {
    return this.#inner.run(programs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    using _ = this.#held;
    await this.#inner[Symbol.asyncDispose]();
  }
}

/** The configuration of the kernel that runs here. */
function hostConfig(release: string): ReadonlyMap<string, string> {
  const installed = `/boot/config-${release}`;
  if (existsSync(installed)) return parseConfig(readFileSync(installed, "utf8"));
  if (existsSync("/proc/config.gz")) return parseConfig(gunzipSync(readFileSync("/proc/config.gz")).toString());
  throw new TargetError(
    `The configuration of this host's kernel is in neither ${installed} nor /proc/config.gz: put it at ${installed}.`,
  );
}

function hasVms(): boolean {
  return existsSync(KVM_DEBUGFS) && readdirSync(KVM_DEBUGFS).some((name) => VM_DIRECTORY.test(name));
}

function hasMdevs(): boolean {
  return existsSync(MDEV_DEVICES) && readdirSync(MDEV_DEVICES).length > 0;
}
