/**
 * One HTML file that opens from disk: what was run, what was found, which rules were seen. At most 10 MB: what does not fit
 * is left out from the least needed on, and the report says so.
 */
import { readFileSync } from "node:fs";
import { Eta } from "eta";
import { DEVIATIONS } from "../campaign/deviations/all.ts";
import { whyOutOfReach } from "../campaign/exercised.ts";
import { EXIT_CODE, exitCodeOf, type Finding, type PropertyResult, type Results } from "../campaign/results.ts";
import { formatProgram } from "../model/format/program-file.ts";
import { allClauses, type Clause, clauseApplies } from "../model/kernel/clause.ts";
import { versionNumber } from "../model/uapi/version.ts";
import { profileOf } from "./profile-of.ts";
import { type ExpectationsOf, reproducerC } from "./reproducer.ts";
import { allFindings, counted, duration, ruleText, verdictOf } from "./verdict.ts";

/** Bytes that the file may have. */
export const MAX_HTML = 10 * 1000 * 1000;

/** How much of each finding goes in. */
interface Limits {
  readonly findings: number;
  /** Characters of a log. */
  readonly log: number;
  readonly calls: number;
  readonly sources: boolean;
}

/** Tried one after the other until the file is small enough. */
const LIMITS: readonly Limits[] = [
  { findings: 200, log: 16_384, calls: 400, sources: true },
  { findings: 100, log: 4096, calls: 200, sources: true },
  { findings: 100, log: 2048, calls: 100, sources: false },
  { findings: 20, log: 1024, calls: 50, sources: false },
];

const eta = new Eta({ autoTrim: false });
const beside = (name: string): string => readFileSync(new URL(`./html/${name}`, import.meta.url), "utf8");

/** The text of report.html. */
export function toHtml(results: Results, expectations: ExpectationsOf): string {
  const template = beside("report.eta");
  const style = beside("style.css");
  let html = "";
  for (const limits of LIMITS) {
    html = eta.renderString(template, { ...view(results, expectations, limits), style });
    if (Buffer.byteLength(html) <= MAX_HTML) return html;
  }
  return html;
}

function view(results: Results, expectations: ExpectationsOf, limits: Limits) {
  const { target, topology, suite, began, seed, properties } = results;
  const found = allFindings(results);
  const sum = (of: (property: PropertyResult) => number): number =>
    properties.reduce((total, each) => total + of(each), 0);
  const clauses = clauseRows(results);
  const unseen = clauses.filter(({ seen }) => seen === 0).length;
  const hidden = clauses.filter(({ outOfReach }) => outOfReach !== null).length;
  return {
    target,
    topology,
    suite,
    began,
    seed,
    verdict: verdictOf(results),
    verdictClass: verdictClass(results),
    duration: duration(results.seconds),
    programs: counted(
      sum(({ programs }) => programs),
      "program",
    ),
    calls: counted(
      sum(({ calls }) => calls),
      "call",
    ),
    devices: [
      ...topology.functions.map(({ name, address, group }) => `${name} (${address}, group ${group})`),
      ...topology.mdevParents,
    ],
    cut: whatIsCut(found, limits, results.interrupted),
    findings: found.slice(0, limits.findings).map((finding) => findingView(finding, results, expectations, limits)),
    properties: properties.map(propertyView),
    deviations: deviationRows(results),
    clauses,
    clauseSummary: `${clauses.length - unseen} of the ${clauses.length} clauses that hold for this kernel were seen to decide a call, ${unseen} were not; ${hidden} of these are out of reach.`,
  };
}

function verdictClass(results: Results): string {
  const code = exitCodeOf(results);
  return code === EXIT_CODE.conforms ? "conforms" : code === EXIT_CODE.differs ? "differs" : "unsure";
}

function whatIsCut(found: readonly Finding[], limits: Limits, interrupted: string | null): string[] {
  const cut: string[] = [];
  if (interrupted !== null) cut.push(`The run broke off: ${interrupted}`);
  if (found.length > limits.findings) {
    cut.push(`Only ${limits.findings} of ${found.length} findings are shown here; all of them are in results.json.`);
  }
  if (found.some(({ log }) => log.length > limits.log)) {
    cut.push(`Kernel logs are cut to their last ${limits.log} characters; results.json has all of what was kept.`);
  }
  if (!limits.sources) cut.push("Programs and C sources are left out for size; they are in the directory findings.");
  return cut;
}

function findingView(finding: Finding, results: Results, expectations: ExpectationsOf, limits: Limits) {
  const { id, what, rule, listing, at, kind, log, program } = finding;
  const text = rule === null ? undefined : ruleText(rule);
  const from =
    listing.length > limits.calls ? Math.max(0, Math.min(at - limits.calls + 10, listing.length - limits.calls)) : 0;
  return {
    id,
    what,
    rule: rule === null ? null : { id: rule, text: text?.rule, source: text?.source },
    seen: seenSentence(finding),
    listing: listing.slice(from, from + limits.calls).map((line, index) => ({
      number: from + index,
      call: line.call,
      // Up to the call that shows it, everything was as it should be.
      expected: line.expected ?? (from + index < at ? (line.observed ?? "") : ""),
      observed: line.observed ?? "",
      clause: line.clause,
      marked: from + index === at,
    })),
    log: log.length > limits.log ? `…${log.slice(-limits.log)}` : log,
    logOpen: kind === "log" || kind === "died",
    program: limits.sources ? formatProgram(program) : null,
    source: limits.sources ? reproducerC(finding, results, expectations) : null,
  };
}

function seenSentence({ by, times, reproduced, originalCalls, program, seed, path }: Finding): string {
  const again = reproduced
    ? "It shows again when the program is run alone."
    : "It did not show again when the program was run alone.";
  const shrunk =
    program.calls.length < originalCalls
      ? `shrunk from ${counted(originalCalls, "call")} to ${program.calls.length}`
      : `of ${counted(originalCalls, "call")}`;
  return `Found by ${by} in ${counted(times, "program")}; the smallest below, ${shrunk}. ${again} Seed ${seed}, path ${path}.`;
}

function propertyView({ id, title, programs, calls, seconds, findings, goals, notComparable }: PropertyResult) {
  return {
    id,
    title,
    programs: programs.toLocaleString("en-US"),
    calls: calls.toLocaleString("en-US"),
    time: duration(seconds),
    findings: findings.length,
    goals: goals.map((goal) => ({
      state: !goal.attainable ? "out" : goal.reached > 0 ? "reached" : "missed",
      text: goal.attainable
        ? `${goal.title} (${goal.reached.toLocaleString("en-US")})`
        : `${goal.title} (out of reach here)`,
    })),
    remarks: notComparable.map(
      (entry) => `Not compared to the end in ${counted(entry.programs, "program")}: ${entry.why}.`,
    ),
  };
}

function deviationRows({ properties }: Results) {
  const programs = new Map<string, number>();
  for (const { known } of properties) {
    for (const met of known) programs.set(met.id, (programs.get(met.id) ?? 0) + met.programs);
  }
  return [...programs].map(([id, count]) => {
    const known = DEVIATIONS.find((deviation) => deviation.id === id);
    return {
      id,
      programs: count.toLocaleString("en-US"),
      title: known?.title ?? "This suite does not know it any more.",
      clause: known?.clause,
      source: known?.source,
      upstream: known?.upstream,
    };
  });
}

function clauseRows(results: Results) {
  const { version, kconfig } = profileOf(results.target);
  const seenById = new Map(results.clauses.map(({ id, seen }) => [id, seen]));
  const broken = new Set(allFindings(results).map(({ rule }) => rule));
  const met = new Set(results.properties.flatMap(({ known }) => known.map(({ id }) => id)));
  const deviating = new Map(DEVIATIONS.filter(({ id }) => met.has(id)).map(({ clause, id }) => [clause, id]));
  const row = (clause: Clause) => {
    const { id, text } = clause;
    const seen = seenById.get(id) ?? 0;
    const isBroken = broken.has(id) || deviating.has(id);
    const outOfReach = seen === 0 ? whyOutOfReach(clause, results.topology) : null;
    const remarks = [
      broken.has(id) ? "broken, see the findings" : "",
      deviating.has(id) ? `known deviation ${deviating.get(id)}` : "",
      outOfReach === null ? "" : `out of reach: ${outOfReach}`,
    ];
    return {
      id,
      rule: text.errno ? `${text.rule} → ${text.errno}` : text.rule,
      source: text.source,
      seen,
      outOfReach,
      state: isBroken ? "broken" : seen === 0 ? "unseen" : "",
      remark: remarks.filter(Boolean).join("; "),
    };
  };
  return allClauses()
    .filter((clause) => clauseApplies(clause, versionNumber(version), kconfig))
    .map(row);
}
