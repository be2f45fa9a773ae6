/**
 * Functions that a program may have taken off the bus: all are taken off and found again, so that each has the IOMMU group's
 * number that it had, and its place among those of its bus. The kernel hands out the lowest numbers that are free, looks for
 * functions in the order of their places, and puts what it finds behind what it knows.
 */
import type { FunctionSpec, Topology } from "../model/topology.ts";
import type { Check } from "./agent-programs.ts";
import type { Lowering } from "./lower/lower.ts";
import { attributePath, devicePath } from "./lower/paths.ts";

/** Those functions, and all that come after one of them on its bus: a function that is found alone would come after these. */
export function withLater({ functions }: Topology, removed: ReadonlySet<string>): ReadonlySet<string> {
  if (removed.size === 0) return removed;
  const taken = functions.filter(({ name }) => removed.has(name));
  const later = functions.filter(
    ({ bus, devfn, physicalFunction }) =>
      physicalFunction === null && taken.some((spec) => spec.bus === bus && spec.devfn <= devfn),
  );
  return new Set(later.map(({ name }) => name));
}

/** What was there in place of what others find. */
function wrongGroup({ name, group }: FunctionSpec, ret: number, text: string | undefined): string | undefined {
  if (ret < 0) return `${name} is not there any more, or has no IOMMU group: ${ret}.`;
  return text === `${group}` ? undefined : `${name} is in the IOMMU group ${text}, and was in ${group}.`;
}

/**
 * Brings functions back, and looks whether they are as they were. Whatever took a number meanwhile must have gone before. They are
 * found without a driver: those of hardware take their time to start it.
 */
export function* bringBack(lowering: Lowering, topology: Topology, removed: ReadonlySet<string>): Generator<Check> {
  const specs = topology.functions.filter(({ name }) => removed.has(name));
  if (specs.length === 0) return;
  const ignored = (shape: Check["shape"]): Check => ({ shape, wrong: () => undefined });
  for (const { name: device } of specs) {
    yield ignored(lowering.sysfsWrite(attributePath(topology, { kind: "pci-device", device, file: "remove" }), "1"));
  }
  const autoprobe = attributePath(topology, { kind: "pci-bus", file: "drivers_autoprobe" });
  yield ignored(lowering.sysfsWrite(autoprobe, "0"));
  yield ignored(lowering.sysfsWrite(attributePath(topology, { kind: "pci-bus", file: "rescan" }), "1"));
  yield ignored(lowering.sysfsWrite(autoprobe, "1"));
  for (const spec of specs) {
    if (spec.group < 0) continue;
    yield {
      shape: lowering.readLink(`${devicePath(topology, spec.name)}/iommu_group`),
      wrong: ({ ret, text }) => wrongGroup(spec, ret, text),
    };
  }
}
