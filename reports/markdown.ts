/**
 * Markdown that reads as plain text in a mail: short, lines that no mail client breaks where it can be helped, listings
 * indented by four.
 */
import { missedClauses } from "../campaign/exercised.ts";
import type { Finding, Results } from "../campaign/results.ts";
import { allFindings, counted, duration, listingText, missedGoals, ruleText, verdictOf } from "./verdict.ts";

/** Findings that are told in full; more would not be read. */
const MOST = 10;
const WIDTH = 72;

/** The text of report.md. */
export function toMarkdown(results: Results): string {
  const findings = allFindings(results);
  const told = findings.slice(0, MOST);
  const parts = [wrap(verdictOf(results)), about(results), ...told.map((finding, index) => tell(finding, index + 1))];
  if (findings.length > told.length) {
    parts.push(wrap(`${counted(findings.length - told.length, "more finding")} in results.json and report.html.`));
  }
  const gaps = unreached(results);
  if (gaps !== "") parts.push(gaps);
  return `${parts.join("\n\n")}\n`;
}

function about({ target, properties, clauses, seconds, seed, suite, began }: Results): string {
  const programs = properties.reduce((sum, property) => sum + property.programs, 0);
  const calls = properties.reduce((sum, property) => sum + property.calls, 0);
  const seen = clauses.filter((clause) => clause.seen > 0).length;
  const lines = [
    `Kernel:   ${target.release ?? target.version}${target.flavour ? ` (${target.flavour})` : ""}`,
    `Run:      ${counted(programs, "program")}, ${counted(calls, "call")}, ${duration(seconds)}, seed ${seed}`,
    `Clauses:  ${seen} of ${clauses.length} seen`,
    `Suite:    vfio-conformance ${suite}, ${began.slice(0, 10)}`,
  ];
  return [...lines.map((line) => `    ${line}`), ...target.notes.map((note) => `\n${wrap(note)}`)].join("\n");
}

function tell(finding: Finding, number: number): string {
  const parts = [`## ${number}. ${finding.what.replace(/\s+/g, " ")}`];
  if (finding.rule !== null) {
    const rule = ruleText(finding.rule);
    parts.push(
      wrap(rule ? `The rule, ${finding.rule}: ${rule.rule}. Written in ${rule.source}.` : `Broken: ${finding.rule}.`),
    );
  }
  parts.push(indented(listingText(finding)));
  const log = splat(finding.log);
  if (log !== "") parts.push(`The kernel's log:\n\n${indented(log)}`);
  const seen = `Seen in ${counted(finding.times, "program")}`;
  const again = finding.reproduced ? "shows again when run alone" : "did not show again when run alone";
  parts.push(
    wrap(`${seen}; ${again}. To see it without the suite: cc -o reproduce ${finding.id}.c && ./reproduce. With it:`),
    indented(`vfio-conformance replay findings/${finding.id}.json`),
  );
  return parts.join("\n\n");
}

/** The part of a log that matters to a reader of mail. */
function splat(log: string): string {
  const lines = log.trim().split("\n");
  const from = Math.max(
    0,
    lines.findIndex((line) => /WARNING|BUG|KASAN|UBSAN|INFO: /.test(line)),
  );
  return lines.slice(from, from + 25).join("\n");
}

function unreached(results: Results): string {
  const goals = results.properties.flatMap((property) =>
    missedGoals(property).map(({ title }) => `- ${property.id}: ${title}`),
  );
  const clauses = missedClauses(results).map(({ id }) => `- ${id}`);
  return [
    ...(goals.length > 0 ? [`Not reached:\n\n${goals.join("\n")}`] : []),
    ...(clauses.length > 0 ? [`Not seen:\n\n${clauses.join("\n")}`] : []),
  ].join("\n\n");
}

function indented(text: string): string {
  return text
    .split("\n")
    .map((line) => `    ${line}`.trimEnd())
    .join("\n");
}

function wrap(text: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].join("\n");
}
