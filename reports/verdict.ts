/** What results say in a sentence, and the rules that findings are about. */
import "../model/machine.ts";
import { missedClauses } from "../campaign/exercised.ts";
import { EXIT_CODE, exitCodeOf, type Finding, type PropertyResult, type Results } from "../campaign/results.ts";
import { findClause } from "../model/kernel/clause.ts";
import { HISTORY_INVARIANTS, STATE_INVARIANTS } from "../properties/invariants/all.ts";

/** `12 programs`, `1 program` */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Every finding, in the order of properties. */
export function allFindings({ properties }: Results): Finding[] {
  return properties.flatMap(({ findings }) => findings);
}

/** Goals that could have been reached and were not. */
export function missedGoals({ goals }: PropertyResult): PropertyResult["goals"] {
  return goals.filter(({ attainable, reached }) => attainable && reached === 0);
}

/** The outcome in one sentence. */
export function verdictOf(results: Results): string {
  const { target, properties, interrupted } = results;
  const programs = properties.reduce((sum, property) => sum + property.programs, 0);
  switch (exitCodeOf(results)) {
    case EXIT_CODE.conforms:
      return `${target.name} conforms: ${counted(programs, "program")}, and nothing that is not known.`;
    case EXIT_CODE.differs:
      return `${target.name} does not conform: ${counted(allFindings(results).length, "finding")} in ${counted(programs, "program")}.`;
    case EXIT_CODE.tooLittle: {
      const missed = properties.reduce((sum, property) => sum + missedGoals(property).length, 0);
      if (programs === 0) return `Nothing was run on ${target.name}, so nothing can be said of it.`;
      const unseen = missedClauses(results).length;
      const lacks = [
        ...(missed > 0 ? [`${counted(missed, "goal")} not reached`] : []),
        ...(unseen > 0 ? [`${counted(unseen, "clause")} not seen`] : []),
      ];
      return `Too little of ${target.name} was exercised to call it conforming: ${lacks.join(", ")}.`;
    }
    case EXIT_CODE.broken:
      return `The run on ${target.name} broke off: ${interrupted}`;
  }
}

/** A rule by its id, a clause's or an invariant's: its text, and where it is written. */
export function ruleText(id: string): { readonly rule: string; readonly source: string } | undefined {
  const invariant = [...STATE_INVARIANTS, ...HISTORY_INVARIANTS].find((candidate) => candidate.id === id);
  if (invariant) return { rule: invariant.title, source: "an invariant of the suite" };
  const clause = findClause(id);
  if (!clause) return undefined;
  const { rule, errno, source } = clause.text;
  return { rule: errno ? `${rule} (${errno})` : rule, source };
}

/** `42 s`, `3 min 5 s`, `2 h 10 min` */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** The smallest program as text: calls with what came back, and what should have. */
export function listingText({ listing, at }: Finding): string {
  return listing
    .map(({ call, observed, expected, clause }, index) => {
      const lines = [`${index === at ? ">" : " "}${String(index).padStart(3)}  ${call}`];
      if (observed !== null) lines.push(`        = ${observed}`);
      if (expected !== null) lines.push(`        expected ${expected}${clause ? `   [${clause}]` : ""}`);
      return lines.join("\n");
    })
    .join("\n");
}
