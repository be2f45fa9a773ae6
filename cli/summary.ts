/** What a run ends with on the terminal: what was done, what was seen, what is wrong, and where to read on. */
import { DEVIATIONS } from "../campaign/deviations/all.ts";
import { missedClauses, unseenIn, whyOutOfReach } from "../campaign/exercised.ts";
import type { Finding, PropertyResult, Results } from "../campaign/results.ts";
import { allFindings, counted, duration, missedGoals, ruleText, verdictOf } from "../reports/verdict.ts";
import { printListing, red, type Style } from "./listing.ts";

/** Findings that are told in full. */
const MOST = 5;
const LOG_LINES = 12;

export interface SummaryOptions extends Style {
  /** Where the reports are, or null when there are none. */
  readonly directory: string | null;
}

export function summarise(results: Results, options: SummaryOptions): string {
  const findings = allFindings(results);
  const parts = [
    done(results),
    known(results),
    ...findings.slice(0, MOST).map((finding, index) => tell(finding, index + 1, options)),
    more(findings.length - MOST),
    unreached(results),
    notPlayed(results),
    options.directory === null
      ? ""
      : `Reports are in ${options.directory}: report.html for people, results.json for compare.`,
    findings.length > 0 ? red(verdictOf(results), options) : verdictOf(results),
    // A verdict of findings does not say that the run broke off; here it is said whatever was found.
    results.interrupted !== null && findings.length > 0 ? `The run broke off early: ${results.interrupted}` : "",
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

function done(results: Results): string {
  const { target, properties, clauses, seconds, seed } = results;
  const sum = (count: (property: PropertyResult) => number): number =>
    properties.reduce((total, property) => total + count(property), 0);
  const scenarios = properties.filter(({ kind }) => kind === "scenario");
  const played = scenarios.filter(({ programs }) => programs > 0);
  const seen = clauses.filter((clause) => clause.seen > 0).length;
  const hidden = unseenIn([results]).filter((clause) => whyOutOfReach(clause, results.topology) !== null).length;
  const lines = [
    target.name,
    `  ran ${counted(
      sum(({ programs }) => programs),
      "program",
    )} of ${counted(
      sum(({ calls }) => calls),
      "call",
    )} in ${duration(seconds)}, seed ${seed}`,
    ...(scenarios.length > 0 ? [`  played ${played.length} of ${counted(scenarios.length, "scenario")}`] : []),
    `  saw ${seen} of the ${counted(clauses.length, "clause")} that apply${hidden > 0 ? `; ${hidden} are out of reach` : ""}`,
    ...target.notes.map((note) => `  ${note}`),
  ];
  return lines.join("\n");
}

function known({ properties }: Results): string {
  const programs = new Map<string, number>();
  for (const property of properties) {
    for (const each of property.known) programs.set(each.id, (programs.get(each.id) ?? 0) + each.programs);
  }
  if (programs.size === 0) return "";
  const lines = [...programs].map(([id, count]) => {
    const title = DEVIATIONS.find((deviation) => deviation.id === id)?.title ?? "";
    return `  ${id} (${counted(count, "program")}): ${title}`;
  });
  return ["Known deviations that were met:", ...lines].join("\n");
}

function tell(finding: Finding, number: number, options: SummaryOptions): string {
  const { what, rule, listing, at, log, times, originalCalls, program, reproduced, by, seed, path, id } = finding;
  const text = rule === null ? undefined : ruleText(rule);
  const from = originalCalls > program.calls.length ? `, shrunk from ${originalCalls} calls` : "";
  const again = reproduced ? "" : "; it did not show again when it was run alone";
  const file = options.directory === null ? "" : `${options.directory}/findings/${id}.json`;
  const origin = path === "0" && seed === 0 ? by : `${by}:${seed}:${path}`;
  return [
    red(`${number}. ${what}`, options),
    ...(text ? [`   ${rule}: ${text.rule}`] : []),
    "",
    printListing(listing, at, options),
    ...(log.trim() === ""
      ? []
      : [
          "",
          ...log
            .trim()
            .split("\n")
            .slice(0, LOG_LINES)
            .map((line) => `   | ${line}`),
        ]),
    "",
    `   Seen in ${counted(times, "program")}${from}${again}.`,
    `   Replay: vfio-conformance replay ${file === "" ? origin : file}`,
  ].join("\n");
}

function more(count: number): string {
  return count > 0 ? `${counted(count, "more finding")} in the reports.` : "";
}

function unreached(results: Results): string {
  const goals = results.properties.flatMap((property) =>
    missedGoals(property).map(({ title }) => `  ${property.id}: ${title}`),
  );
  const clauses = missedClauses(results).map(({ id, text }) => `  ${id}: ${text.rule}`);
  return [
    ...(goals.length > 0 ? ["Goals that were not reached:", ...goals] : []),
    ...(clauses.length > 0 ? ["Clauses that were not seen:", ...clauses] : []),
  ].join("\n");
}

/** Scenarios by the reason why they were not played. */
function notPlayed({ properties }: Results): string {
  const byReason = new Map<string, string[]>();
  for (const { id, kind, programs, notComparable } of properties) {
    const [first] = notComparable;
    if (kind !== "scenario" || programs > 0 || !first) continue;
    byReason.set(first.why, [...(byReason.get(first.why) ?? []), id]);
  }
  if (byReason.size === 0) return "";
  const lines = [...byReason].map(([why, ids]) => `  ${why} ${ids.join(", ")}`);
  return ["Scenarios that were not played:", ...lines].join("\n");
}
