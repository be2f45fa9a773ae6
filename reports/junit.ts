/** JUnit XML: a suite for each property or scenario; findings fail, goals out of reach are skipped. */
import { createRequire } from "node:module";
import type { Builder } from "junit-report-builder";
import type { Finding, PropertyResult, Results } from "../campaign/results.ts";
import { counted, listingText, ruleText } from "./verdict.ts";

/** The module is the builder itself; its types promise a default export that is not there. */
const junit: Builder = createRequire(import.meta.url)("junit-report-builder");

/** The text of junit.xml. */
export function toJunit(results: Results): string {
  const report = junit.newBuilder().name(`vfio-conformance on ${results.target.name}`);
  for (const property of results.properties) addSuite(report, results, property);
  if (results.interrupted !== null) {
    const suite = report.testSuite().name("campaign").timestamp(results.began);
    suite.testCase().className("campaign").name("runs to its end").error(text(results.interrupted));
  }
  return report.build();
}

function addSuite(report: Builder, results: Results, property: PropertyResult): void {
  const suite = report.testSuite().name(property.id).timestamp(results.began).time(property.seconds);
  suite.property("title", text(property.title)).property("seed", String(results.seed));
  const testCase = (name: string) => suite.testCase().className(property.id).name(text(name));
  for (const finding of property.findings) {
    testCase(finding.what)
      .failure(text(finding.what), finding.kind)
      .stacktrace(text(details(finding)));
  }
  if (property.findings.length === 0) {
    const holds = testCase(property.title).time(property.seconds);
    if (property.programs === 0) holds.error("No program was run.");
    else holds.standardOutput(text(`${counted(property.programs, "program")}, ${counted(property.calls, "call")}.`));
  }
  for (const { title, reached, attainable } of property.goals) {
    const goal = testCase(`reaches: ${title}`);
    if (!attainable) goal.skipped();
    else if (reached === 0)
      goal.failure("No program reached it; run longer, or on a machine that has what it takes.", "goal");
  }
}

function details(finding: Finding): string {
  const rule = finding.rule === null ? undefined : ruleText(finding.rule);
  const lines = [listingText(finding)];
  if (finding.rule !== null) lines.push(rule ? `${finding.rule}: ${rule.rule} (${rule.source})` : finding.rule);
  if (finding.log !== "") lines.push(finding.log.slice(-4096));
  return lines.join("\n\n");
}

/** Characters that XML can't hold, replaced. */
function text(given: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that XML 1.0 forbids
  return given.replace(/[\p{Surrogate}\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/gu, "�");
}
