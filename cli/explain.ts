/** `explain`: what an id stands for. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { DEVIATIONS } from "../campaign/deviations/all.ts";
import type { Deviation } from "../campaign/deviations/deviation.ts";
import { EXIT_CODE, type ExitCode } from "../campaign/results.ts";
import { printCall } from "../model/format/print.ts";
import { type Clause, findClause, type MachineKind, type Observable } from "../model/kernel/clause.ts";
import { MODEL_MACHINES } from "../model/model-machines.ts";
import { PROFILES, type Profile } from "../model/profile.ts";
import { REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import { versionNumber } from "../model/uapi/version.ts";
import { findProperty } from "../properties/all.ts";
import type { Property } from "../properties/property.ts";
import { findScenario } from "../scenarios/all.ts";
import { findFault } from "../scenarios/faults/all.ts";
import type { Fault } from "../scenarios/faults/fault.ts";
import type { Expectation, Scenario } from "../scenarios/scenario.ts";
import { UsageError } from "./errors.ts";
import { INVARIANTS } from "./list.ts";
import { table } from "./table.ts";

export function addExplain(program: Command, done: (code: ExitCode) => void): void {
  program
    .command("explain")
    .description("explain a clause, invariant, deviation, fault, property or scenario by its id")
    .argument("<id>", "such as VFIO-CDEV-BIND-4, refused-no-trace or bind-drops-vm")
    .addHelpText("after", "\nExample:\n  $ vfio-conformance explain VFIO-CDEV-BIND-4")
    .action((id: string) => {
      process.stdout.write(`${explain(id)}\n`);
      done(EXIT_CODE.conforms);
    });
}

/** Everything that goes by this id: a scenario is often called as the deviation that it shows. */
export function explain(id: string): string {
  const clause = findClause(id) ?? findClause(id.toUpperCase());
  const deviation = DEVIATIONS.find((candidate) => candidate.id === id);
  const fault = findFault(id);
  const property = findProperty(id);
  const scenario = findScenario(id);
  const parts = [
    ...(clause ? [explainClause(clause)] : []),
    ...INVARIANTS.filter((candidate) => candidate.id === id).map(explainInvariant),
    ...(deviation ? [explainDeviation(deviation)] : []),
    ...(fault ? [explainFault(fault)] : []),
    ...(property ? [explainProperty(property)] : []),
    ...(scenario ? [explainScenario(scenario)] : []),
  ];
  if (parts.length === 0)
    throw new UsageError(`Nothing is called ${id}: \`list clauses\` and the other lists tell what there is.`);
  return parts.join("\n\n");
}

const OBSERVED: Readonly<Record<Observable, string>> = {
  return: "by what the call returns",
  output: "by what the call writes to its struct",
  "later-call": "by what a later call answers",
  sysfs: "in sysfs or debugfs",
  internal: "not from user space",
};

/** `CONFIG_X`, or `!CONFIG_X`. */
function configName(option: string): string {
  return option.startsWith("!") ? `!CONFIG_${option.slice(1)}` : `CONFIG_${option}`;
}

/** `noiommu: without an IOMMU, in no-IOMMU mode` */
function machineText(kind: MachineKind): string {
  return `${kind}: ${MODEL_MACHINES.find(({ name }) => name === kind)?.title ?? ""}`;
}

function explainClause({ id, text }: Clause): string {
  const { rule, errno, source, since, until, kconfig, machine, observable, unseen } = text;
  const kernels = [since ? `from ${since}` : "", until ? `up to ${until}` : ""].filter(Boolean).join(" ");
  const file = definedIn(id);
  return [
    `${id}: ${rule}`,
    "",
    table([
      ["kind", "clause"],
      ["refused with", errno ?? "nothing: it says what a successful call does"],
      ["kernels", kernels === "" ? "all" : kernels],
      ["Kconfig", kconfig && kconfig.length > 0 ? kconfig.map(configName).join(", ") : "any"],
      ...(machine === undefined ? [] : [["machine", machineText(machine)]]),
      ["source", source],
      ["observed", OBSERVED[observable ?? "return"]],
      ...(unseen === undefined ? [] : [["out of reach", unseen]]),
      ...(file === null ? [] : [["defined in", file]]),
      ...deviationsFrom(id),
    ]),
  ].join("\n");
}

function explainInvariant({ id, title, detail }: (typeof INVARIANTS)[number]): string {
  const held =
    detail === "history" ? "what a program did and saw, on any target" : "the model's state, after every call";
  return [`${id}: ${title}`, "", table([["kind", "invariant"], ["held against", held], ...deviationsFrom(id)])].join(
    "\n",
  );
}

/** Deviations that break a rule. */
function deviationsFrom(rule: string): string[][] {
  return DEVIATIONS.filter(({ clause }) => clause === rule).map(({ id, title }) => ["deviation", `${id}: ${title}`]);
}

function explainDeviation(deviation: Deviation): string {
  const { id, title, clause, since, until, source, upstream, evidence, destructive } = deviation;
  const harm = destructive
    ? [["harm", "it corrupts the kernel's memory: programs keep away from it unless it is what they are for"]]
    : [];
  return [
    `${id}: ${title}`,
    "",
    table([
      ["kind", "known deviation of real kernels"],
      ["breaks", clause],
      ["kernels", until ? `${since} to ${until}` : `from ${since}`],
      ["source", source],
      ["upstream", upstream],
      [
        "evidence",
        `vfio-conformance replay ${evidence} --kernel ${affected(deviation)}${destructive ? " --force" : ""}`,
      ],
      ...harm,
    ]),
  ].join("\n");
}

/** The oldest kernel that the suite is tried with and that has the deviation. */
function affected({ since }: Deviation): string {
  const has = ({ version }: Profile): boolean => versionNumber(version) >= versionNumber(since);
  return Object.values(PROFILES).find(has)?.version ?? since;
}

function explainFault({ id, title, cites, breaks, profile, machine }: Fault): string {
  const where = profile === undefined ? "" : ` --profile ${profile}`;
  return [
    `${id}: ${title}`,
    "",
    table([
      ["kind", "fault that can be put into the model"],
      ["cites", cites],
      ["breaks", breaks],
      ["found by", `vfio-conformance run --fault ${id}${where}${machine === undefined ? "" : ` --machine ${machine}`}`],
    ]),
  ].join("\n");
}

function explainProperty({ id, title, goals, state, history, length }: Property): string {
  return [
    `${id}: ${title}`,
    "",
    table([
      ["kind", "property"],
      ["programs", `at most ${length} calls each`],
      ["invariants", [...state, ...history].map((invariant) => invariant.id).join(", ")],
      ...goals.map((goal) => ["must reach", goal.title]),
    ]),
  ].join("\n");
}

function explainScenario({ id, title, calls, expect, needs, breaks }: Scenario): string {
  const kconfig = needs.kconfig?.map(configName).join(", ") ?? "";
  return [
    `${id}: ${title}`,
    "",
    table([
      ["kind", breaks === undefined ? "scenario" : `scenario, the evidence of ${breaks}`],
      [
        "needs",
        [needs.since ? `Linux ${needs.since}` : "", kconfig, needs.noiommu ? "no-IOMMU mode" : ""]
          .filter(Boolean)
          .join(", ") || "nothing",
      ],
    ]),
    "",
    table(calls.map((call, at) => [outcome(expect[at]), printCall(call, REFERENCE_TOPOLOGY)])),
  ].join("\n");
}

function outcome(expected: Expectation | undefined): string {
  return typeof expected === "number" ? `= ${expected}` : (expected ?? "");
}

/** The file of the model that has the clause in its table. */
function definedIn(id: string): string | null {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const files = readdirSync(join(root, "model"), { recursive: true, encoding: "utf8" });
  for (const file of files) {
    if (!file.endsWith(".ts") || file.endsWith(".test.ts")) continue;
    const path = join("model", file);
    if (readFileSync(join(root, path), "utf8").includes(`"${id}": {`)) return path;
  }
  return null;
}
