/** KTAP version 1, as the kernel's Documentation/dev-tools/ktap.rst has it: properties with their goals and findings as subtests. */
import type { PropertyResult, Results } from "../campaign/results.ts";
import { counted, listingText, missedGoals, verdictOf } from "./verdict.ts";

interface Subtest {
  readonly ok: boolean;
  readonly description: string;
  readonly directive?: string;
  /** Lines that come before the result. */
  readonly diagnostics?: readonly string[];
}

/** The text of report.ktap. */
export function toKtap(results: Results): string {
  const tests = results.properties.map((property) => ({ property, subtests: subtestsOf(property) }));
  const interrupted = results.interrupted !== null;
  const lines = ["KTAP version 1", `1..${tests.length + (interrupted ? 1 : 0)}`];
  for (const [index, { property, subtests }] of tests.entries()) {
    lines.push("  KTAP version 1", `  1..${subtests.length}`);
    for (const [at, subtest] of subtests.entries()) {
      for (const line of subtest.diagnostics ?? []) lines.push(`  # ${line}`);
      lines.push(`  ${resultLine(subtest, at + 1)}`);
    }
    lines.push(`# ${counted(property.programs, "program")}, ${counted(property.calls, "call")}`);
    lines.push(resultLine({ ok: subtests.every(({ ok }) => ok), description: property.id }, index + 1));
  }
  if (results.interrupted !== null) {
    lines.push(
      resultLine({ ok: false, description: "campaign", directive: `ERROR ${results.interrupted}` }, tests.length + 1),
    );
  }
  lines.push(`# ${oneLine(verdictOf(results))}`);
  return `${lines.join("\n")}\n`;
}

function subtestsOf(property: PropertyResult): Subtest[] {
  const missed = new Set(missedGoals(property));
  const holds: Subtest[] = property.findings.map((finding) => ({
    ok: false,
    description: finding.id,
    diagnostics: [finding.what, ...listingText(finding).split("\n")].map(oneLine),
  }));
  if (holds.length === 0) {
    const run: Subtest = { ok: property.programs > 0, description: "every program" };
    holds.push(property.programs > 0 ? run : { ...run, directive: "ERROR no program was run" });
  }
  const goals = property.goals.map((goal): Subtest => {
    const description = `goal ${goal.id}`;
    if (!goal.attainable) return { ok: true, description, directive: `SKIP out of reach here: ${goal.title}` };
    return missed.has(goal)
      ? { ok: false, description, diagnostics: [`not reached: ${oneLine(goal.title)}`] }
      : { ok: true, description };
  });
  return [...holds, ...goals];
}

function resultLine({ ok, description, directive }: Subtest, number: number): string {
  const tail = directive === undefined ? "" : ` # ${oneLine(directive)}`;
  return `${ok ? "ok" : "not ok"} ${number} ${oneLine(description).replaceAll("#", "-")}${tail}`;
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, " ");
}
