/**
 * Scenarios: named programs that a person wrote, with the outcome that is right of every call beside it.
 *
 * They say what a caller may count on in a form that can be read aloud. Where a scenario shows a deviation of real kernels it
 * names it, and its outcomes are still the right ones.
 */
import { KCONFIG_OPTIONS, type KconfigOption, type Profile, since } from "../model/profile.ts";
import type { Attribute, Call } from "../model/program.ts";
import type { Topology } from "../model/topology.ts";
import type { Errno } from "../model/uapi/errno.ts";
import { inRange, type Version, versionNumber } from "../model/uapi/version.ts";

/** What is right of a call: that it succeeds, that it gives this very number, or the errno that refuses it. */
export type Expectation = "ok" | number | Errno;

/** A call and its right outcome. */
export interface Step {
  readonly call: Call;
  readonly expect: Expectation;
}

/** What a kernel must have for a scenario to mean anything. Its devices are found from its calls. */
export interface Needs {
  readonly since?: Version;
  /** The last kernel that it is about. */
  readonly until?: Version;
  readonly kconfig?: readonly KconfigOption[];
  /** Options that must not be set. */
  readonly without?: readonly KconfigOption[];
  /** That its functions have no IOMMU, and no-IOMMU mode is on; otherwise they need one. */
  readonly noiommu?: true;
  /** That nothing isolates its functions, and that VFIO takes none of them. */
  readonly mock?: true;
}

export interface Scenario {
  readonly id: string;
  /** What it shows, in one line. */
  readonly title: string;
  readonly calls: readonly Call[];
  /** The right outcome of each call. */
  readonly expect: readonly Expectation[];
  readonly needs: Needs;
  /** Id of the deviation that it is the evidence of. */
  readonly breaks?: string;
}

/** What an author writes: calls that succeed stand as they are, others with their outcome. */
export interface ScenarioText {
  readonly id: string;
  readonly title: string;
  readonly needs?: Needs;
  readonly breaks?: string;
  readonly steps: readonly (Call | Step)[];
}

export function scenario({ steps, needs = {}, ...text }: ScenarioText): Scenario {
  const written = steps.map((step): Step => ("call" in step ? step : { call: step, expect: "ok" }));
  return { ...text, needs, calls: written.map(({ call }) => call), expect: written.map(({ expect }) => expect) };
}

/** A call that must be refused with this errno. */
export function refused(errno: Errno, call: Call): Step {
  return { call, expect: errno };
}

/** A call that must give this very number. */
export function gives(value: number, call: Call): Step {
  return { call, expect: value };
}

const NO_QUEUES = "The machine has no accelerator with work queues.";

/** Why a scenario says nothing of a machine, in one sentence; null where it applies. */
export function whyNot({ needs, calls }: Scenario, profile: Profile, topology: Topology): string | null {
  if (needs.since && !since(profile, needs.since)) return `It is about kernels from ${needs.since} on.`;
  if (needs.until && !inRange(versionNumber(profile.version), needs)) {
    return `It is about kernels up to ${needs.until}.`;
  }
  for (const option of needs.kconfig ?? []) {
    if (KCONFIG_OPTIONS.includes(option) && !profile.kconfig.has(option)) return `The kernel has no CONFIG_${option}.`;
  }
  for (const option of needs.without ?? []) {
    if (profile.kconfig.has(option)) return `The kernel has CONFIG_${option}.`;
  }
  if (needs.noiommu && (topology.iommu || !topology.noiommu)) return "The machine is not in no-IOMMU mode.";
  const noiommu = topology.noiommu && profile.kconfig.has("VFIO_NOIOMMU");
  if (needs.mock && (topology.iommu || noiommu)) return "The machine has an IOMMU, or the kernel does without.";
  for (const name of devicesOf(calls)) {
    const isFunction = topology.functions.some((spec) => spec.name === name);
    if (isFunction && !needs.noiommu && !needs.mock && !topology.iommu) return "The machine has no IOMMU.";
    const known = [...topology.functions, ...topology.mdevs].some((device) => device.name === name);
    if (!known) return `The machine has no device ${name}.`;
  }
  if (topology.noFailNth !== null && calls.some(({ failNth }) => failNth !== undefined)) return topology.noFailNth;
  for (const call of calls) {
    if (call.op === "open" && call.node.kind === "kvm" && !topology.kvm) return "The machine has no KVM.";
    if (call.op === "open" && call.node.kind === "wq" && !topology.workQueues) return NO_QUEUES;
    if (!("attribute" in call)) continue;
    const { attribute } = call;
    if (attribute.kind === "sriov" && !topology.sriov && !needs.noiommu) return "vfio-pci makes no virtual functions.";
    if (WHOLE_BUS.has(attribute.kind) && !topology.wholeBus) return "The machine's bus has other devices on it.";
    if (attribute.kind === "wq" || attribute.kind === "wq-driver") {
      if (!topology.workQueues) return NO_QUEUES;
      continue;
    }
    if ("parent" in attribute && !topology.mdevParents.includes(attribute.parent)) {
      return `The machine has no ${attribute.parent} to make mediated devices of.`;
    }
    if ("driver" in attribute) {
      if (attribute.kind === "aux-driver") continue;
      const drivers = attribute.kind === "mdev-driver" ? topology.mdevParents : topology.drivers;
      if (!drivers.includes(attribute.driver)) return `The kernel has no driver ${attribute.driver}.`;
    }
  }
  return null;
}

/** Attributes that are about whatever is on the bus. */
const WHOLE_BUS: ReadonlySet<Attribute["kind"]> = new Set([
  "new_id",
  "remove_id",
  "pci-bus",
  "pci-device",
  "pci-bridge",
]);

/** Attributes of single functions. */
const OF_FUNCTION: ReadonlySet<Attribute["kind"]> = new Set(["sriov", "pci-device", "pci-bridge"]);

/** Names of the devices that calls are about. */
function devicesOf(calls: readonly Call[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const call of calls) {
    if (call.op === "open" && "device" in call.node) names.add(call.node.device);
    if ("attribute" in call && OF_FUNCTION.has(call.attribute.kind) && "device" in call.attribute) {
      names.add(call.attribute.device);
    }
    if ("attribute" in call && "text" in call && "device" in call.text) names.add(call.text.device);
    if (call.op === "ioctl" && call.arg.kind === "name" && call.arg.device !== undefined) names.add(call.arg.device);
  }
  return names;
}
