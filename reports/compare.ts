/** Two results side by side: what appeared, what went away, and which rules are seen now that were not, or no longer. */
import type { Finding, Results } from "../campaign/results.ts";
import { allFindings, counted } from "./verdict.ts";

export interface Comparison {
  readonly appeared: readonly Finding[];
  readonly wentAway: readonly Finding[];
  readonly stayed: readonly Finding[];
  /** Ids of clauses. */
  readonly newlySeen: readonly string[];
  readonly noLongerSeen: readonly string[];
  /** Known deviations by id. */
  readonly newlyMet: readonly string[];
  readonly noLongerMet: readonly string[];
}

/** Compares by the ids of findings, which are the same for the same problem. */
export function compareResults(before: Results, after: Results): Comparison {
  const [old, now] = [allFindings(before), allFindings(after)];
  const [oldIds, nowIds] = [new Set(old.map(({ id }) => id)), new Set(now.map(({ id }) => id))];
  const [oldSeen, nowSeen] = [seenClauses(before), seenClauses(after)];
  const [oldMet, nowMet] = [metDeviations(before), metDeviations(after)];
  return {
    appeared: now.filter(({ id }) => !oldIds.has(id)),
    wentAway: old.filter(({ id }) => !nowIds.has(id)),
    stayed: now.filter(({ id }) => oldIds.has(id)),
    newlySeen: [...nowSeen].filter((id) => !oldSeen.has(id)),
    noLongerSeen: [...oldSeen].filter((id) => !nowSeen.has(id)),
    newlyMet: [...nowMet].filter((id) => !oldMet.has(id)),
    noLongerMet: [...oldMet].filter((id) => !nowMet.has(id)),
  };
}

function seenClauses({ clauses }: Results): Set<string> {
  return new Set(clauses.filter(({ seen }) => seen > 0).map(({ id }) => id));
}

function metDeviations({ properties }: Results): Set<string> {
  return new Set(properties.flatMap(({ known }) => known.map(({ id }) => id)));
}

/** The comparison as text for a terminal or a mail. */
export function printComparison(before: Results, after: Results): string {
  const comparison = compareResults(before, after);
  const lines = [`From  ${before.target.name}`, `to    ${after.target.name}`, ""];
  const list = (title: string, entries: readonly string[]): void => {
    if (entries.length > 0) lines.push(`${title}:`, ...entries.map((entry) => `  ${entry}`), "");
  };
  const sentence = ({ id, what }: Finding): string => `${id}: ${what}`;
  list("Appeared", comparison.appeared.map(sentence));
  list("Went away", comparison.wentAway.map(sentence));
  list("Still there", comparison.stayed.map(sentence));
  list("Known deviations met now", comparison.newlyMet);
  list("Known deviations no longer met", comparison.noLongerMet);
  list("Clauses seen now", comparison.newlySeen);
  list("Clauses no longer seen", comparison.noLongerSeen);
  const { appeared, wentAway, stayed } = comparison;
  lines.push(`${counted(appeared.length, "finding")} appeared, ${wentAway.length} went away, ${stayed.length} stayed.`);
  return `${lines.join("\n")}\n`;
}
