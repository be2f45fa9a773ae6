/** What a run exercised of the clauses: which were not seen, why, and which of them a whole campaign should have seen. */
import "../model/machine.ts";
import { allClauses, type Clause, clauseApplies, findClause } from "../model/kernel/clause.ts";
import type { Profile } from "../model/profile.ts";
import { versionNumber } from "../model/uapi/version.ts";
import { PROPERTIES } from "../properties/all.ts";
import type { Coverage } from "../properties/coverage.ts";
import { SCENARIOS } from "../scenarios/all.ts";
import type { Results } from "./results.ts";

/** Clauses that hold for a kernel and that every campaign on the model of it must see: all that carry no reason. */
export function clausesToSee({ version, kconfig }: Profile): Clause[] {
  const number = versionNumber(version);
  return allClauses().filter((clause) => clause.text.unseen === undefined && clauseApplies(clause, number, kconfig));
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
  if (results.target.kind !== "model") return [];
  const ran = new Set(results.properties.map(({ id }) => id));
  if (![...PROPERTIES, ...SCENARIOS].every(({ id }) => ran.has(id))) return [];
  return unseenIn([results]).filter(({ text }) => text.unseen === undefined);
}
