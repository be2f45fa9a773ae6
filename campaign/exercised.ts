/** What a run exercised of the clauses: which were not seen, why, and which of them a whole campaign should have seen. */
import "../model/machine.ts";
import { allClauses, type Clause, clauseApplies, findClause, type MachineKind } from "../model/kernel/clause.ts";
import { PROFILES, type Profile } from "../model/profile.ts";
import type { Topology } from "../model/topology.ts";
import { versionNumber } from "../model/uapi/version.ts";
import { PROPERTIES } from "../properties/all.ts";
import type { Coverage } from "../properties/coverage.ts";
import { SCENARIOS } from "../scenarios/all.ts";
import type { TargetAbout } from "../targets/target.ts";
import type { Results } from "./results.ts";

/** Clauses that hold for a kernel and that campaigns on such a machine must see: all that carry no reason and name no other. */
export function clausesToSee({ version, kconfig }: Profile, topology: Topology): Clause[] {
  const number = versionNumber(version);
  return allClauses().filter((clause) => isToBeSeen(clause, topology) && clauseApplies(clause, number, kconfig));
}

function isToBeSeen({ text }: Clause, topology: Topology): boolean {
  return text.unseen === undefined && text.machine === machineOf(topology);
}

/** Why a run on such a machine can't see a clause; null where it can. */
export function whyOutOfReach({ text }: Clause, topology: Topology): string | null {
  if (text.unseen !== undefined) return text.unseen;
  if (text.machine === undefined || text.machine === machineOf(topology)) return null;
  return `it takes the machine ${text.machine}`;
}

/** What clauses call such a machine; undefined is the one with an IOMMU. */
function machineOf({ iommu, noiommu, sriov, functions, managed, workQueues }: Topology): MachineKind | undefined {
  if (functions.some(({ traits }) => traits)) return "variants";
  if (managed.length > 0) return "managed";
  if (workQueues) return "idxd";
  if (sriov) return "sriov";
  if (iommu) return undefined;
  return noiommu ? "noiommu" : "mock";
}

/** Of these clauses, those that were not seen. */
export function notSeen(clauses: readonly Clause[], coverage: Coverage): Clause[] {
  return clauses.filter((clause) => coverage.of(clause) === 0);
}

/** Clauses that were not seen in any of these runs, of those that hold for the kernel of one of them. */
export function unseenIn(runs: readonly Pick<Results, "clauses">[]): Clause[] {
  const seen = new Map<string, number>();
  for (const { clauses } of runs) for (const each of clauses) seen.set(each.id, (seen.get(each.id) ?? 0) + each.seen);
  return [...seen].flatMap(([id, times]) => {
    // Another suite's results may have clauses that this one does not know.
    const clause = times === 0 ? findClause(id) : undefined;
    return clause ? [clause] : [];
  });
}

/**
 * Clauses that a run should have seen and did not. Only of a whole campaign on the model can it be said: its machine has
 * all that programs ask for, and a rule that nothing shows there is one that nothing tests.
 */
export function missedClauses(results: Results): Clause[] {
  if (results.target.kind !== "model" || !isFull(results.target)) return [];
  const ran = new Set(results.properties.map(({ id }) => id));
  if (![...PROPERTIES, ...SCENARIOS].every(({ id }) => ran.has(id))) return [];
  return unseenIn([results]).filter((clause) => isToBeSeen(clause, results.topology));
}

/** Whether a kernel has every way in to its devices. */
function isFull({ version, kconfig }: TargetAbout): boolean {
  const full = Object.values(PROFILES).find((profile) => profile.version === version);
  return full !== undefined && [...full.kconfig].every((option) => kconfig.includes(option));
}
