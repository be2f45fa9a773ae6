/**
 * Hunts: how soon a campaign that knows nothing of a fault comes to it. The programs are those of any campaign, and each
 * is looked at as a campaign on a faulty model looks at it; only the properties take turns, each as often as its share
 * says, so that how soon a fault is caught does not hang on which property comes first.
 */
import { LockOrder } from "../model/kernel/lock.ts";
import type { MachineOptions } from "../model/machine.ts";
import { topologyOf } from "../model/model-machines.ts";
import { PROFILES } from "../model/profile.ts";
import type { Program } from "../model/program.ts";
import { PROPERTIES } from "../properties/all.ts";
import { rerun } from "../properties/generate/walk.ts";
import type { Violation } from "../properties/invariants/invariant.ts";
import { type Property, watchFor } from "../properties/property.ts";
import { chunkSeed, sampleChunk } from "../properties/sample.ts";
import type { Fault } from "../scenarios/faults/fault.ts";
import { ModelTarget } from "../targets/model.ts";
import { brokenInvariant, examine, type Problem } from "./problem.ts";

/** Programs that a property has in one turn. */
const TURN = 8;

export interface HuntOptions {
  readonly fault: Fault;
  readonly seed: number;
  /** Programs at the most. */
  readonly budget: number;
  /** All that apply to the machine unless given. */
  readonly properties?: readonly Property[];
  /** What counts as catching it: any problem unless given. */
  readonly caught?: (problem: Problem) => boolean;
}

/** How a fault was caught. */
export interface Catch {
  /** Programs that it took, the one that shows it included. */
  readonly programs: number;
  /** Id of the property whose program shows it. */
  readonly property: string;
  readonly problem: Problem;
}

/** The target with a fault in it: the model of the kernel that it is a fault of, on a machine that shows it. */
export function faultyTarget(fault: Fault): ModelTarget {
  const profile = PROFILES[fault.profile ?? "7.2"];
  if (!profile) throw new Error(`the fault ${fault.id} is one of a kernel that there is no profile of`);
  const topology = topologyOf(fault.machine ?? "iommu");
  if (!topology) throw new Error(`the fault ${fault.id} is one of a machine that there is not`);
  return new ModelTarget(topology, profile, [fault]);
}

/** What tells of a fault: the invariant that it broke, or `difference` where an answer was wrong. */
export function toldBy({ kind, rule }: Problem): string {
  return kind === "invariant" && rule !== null ? rule : kind;
}

/** Hunts a fault; null where the budget is used up before. */
export function hunt({ fault, seed, budget, properties, caught = () => true }: HuntOptions): Catch | null {
  const target = faultyTarget(fault);
  const { topology, profile } = target;
  const machine: MachineOptions = { topology, profile, order: new LockOrder() };
  const applying = (properties ?? PROPERTIES).filter((property) => property.whyNot(topology, profile) === null);
  const turns = new Map(applying.map((property) => [property, 0]));
  for (let programs = 0; programs < budget; ) {
    const property = leastServed(turns);
    const turn = turns.get(property) ?? 0;
    turns.set(property, turn + 1);
    const count = Math.min(TURN, budget - programs);
    for (const { program } of sampleChunk(property, machine, chunkSeed(seed, property.id, turn), () => null, count)) {
      programs++;
      const problem = problemOf(program, property, target);
      if (problem && caught(problem)) return { programs, property: property.id, problem };
    }
  }
  return null;
}

/** The property that is furthest behind its share, the first of those in question. */
function leastServed(turns: ReadonlyMap<Property, number>): Property {
  let [least] = turns.keys();
  if (!least) throw new Error("there is no property to hunt with");
  for (const [property, turn] of turns) {
    if (turn / property.share < (turns.get(least) ?? 0) / least.share) least = property;
  }
  return least;
}

/** What is wrong with a program on a faulty model: what its state shows, else what it answers, like a kernel. */
function problemOf(program: Program, property: Property, target: ModelTarget): Problem | null {
  const violation = violationUnder(program, property, target);
  if (violation) return brokenInvariant(violation);
  const { topology, profile } = target;
  return examine(target.runNow(program), { topology, profile, deviations: [] }, property.history).problem;
}

/** The first invariant of a property that a program breaks on a faulty model. */
export function violationUnder(program: Program, property: Property, target: ModelTarget): Violation | null {
  const { topology, profile, overrides } = target;
  const watch = watchFor(property);
  rerun(program.calls, { topology, profile, overrides, order: new LockOrder() }, watch);
  return watch.violation;
}
