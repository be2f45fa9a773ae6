/** `list`: what there is to run, to test, and to know. */
import { type Command, Option } from "commander";
import { DEVIATIONS } from "../campaign/deviations/all.ts";
import { unseenIn } from "../campaign/exercised.ts";
import { EXIT_CODE, type ExitCode } from "../campaign/results.ts";
import "../model/machine.ts";
import { allClauses, type MachineKind } from "../model/kernel/clause.ts";
import { PROPERTIES } from "../properties/all.ts";
import { HISTORY_INVARIANTS, STATE_INVARIANTS } from "../properties/invariants/all.ts";
import { BALANCE, NO_TRACE } from "../properties/invariants/effects.ts";
import { SCENARIOS } from "../scenarios/all.ts";
import { FAULTS } from "../scenarios/faults/all.ts";
import { MACHINES } from "../targets/qemu/machines.ts";
import { UsageError } from "./errors.ts";
import { readResults } from "./files.ts";
import { table } from "./table.ts";

/** Something with an id; the title comes last. */
interface Entry {
  readonly id: string;
  readonly detail?: string;
  readonly title: string;
}

/** Every invariant, whatever it is held against. */
export const INVARIANTS: readonly Entry[] = [
  ...STATE_INVARIANTS.map(({ id, title }) => ({ id, detail: "state", title })),
  ...[NO_TRACE, BALANCE].map(({ id, title }) => ({ id, detail: "effects", title })),
  ...HISTORY_INVARIANTS.map(({ id, title }) => ({ id, detail: "history", title })),
];

const TARGETS: readonly Entry[] = [
  { id: "model", title: "the model of 6.1, 6.12 or 7.2 itself, with or without a fault; needs nothing" },
  ...MACHINES.map(({ name, title, devices }) => ({
    id: `qemu --machine ${name}`,
    title: `a kernel booted in QEMU, ${title}; devices: ${devices.map((device) => device.name).join(", ")}`,
  })),
  { id: "host", title: "this host's own kernel, with the devices that are named by --device" },
];

const LISTS = {
  properties: (): Entry[] => PROPERTIES.map(({ id, title }) => ({ id, title })),
  scenarios: (): Entry[] =>
    SCENARIOS.map(({ id, title, needs, breaks }) => ({
      id,
      detail: breaks === undefined ? (needs.since ? `${needs.since}+` : "") : "evidence",
      title,
    })),
  invariants: (): Entry[] => [...INVARIANTS],
  clauses: (): Entry[] => allClauses().map(({ id, text }) => ({ id, detail: text.errno ?? "", title: text.rule })),
  targets: (): Entry[] => [...TARGETS],
  faults: (): Entry[] => FAULTS.map(({ id, title, cites }) => ({ id, title: `${title} (${cites})` })),
  deviations: (): Entry[] =>
    DEVIATIONS.map(({ id, since, until, title }) => ({ id, detail: until ? `${since}–${until}` : `${since}+`, title })),
} as const;

type What = keyof typeof LISTS;

interface ListOptions {
  readonly json?: boolean;
  /** Results to look into; true where none are named. */
  readonly unseen?: true | readonly string[];
}

export function addList(program: Command, done: (code: ExitCode) => void): void {
  program
    .command("list")
    .description(`list ${Object.keys(LISTS).join(", ")}`)
    .argument("<what>", Object.keys(LISTS).join(" | "))
    .option("--json", "as JSON")
    .addOption(
      new Option(
        "--unseen [results...]",
        "of the clauses, those that are out of reach of any run, and why; with results.json of runs also those that none saw",
      ),
    )
    .addHelpText(
      "after",
      `
Examples:
  $ vfio-conformance list properties
  $ vfio-conformance list clauses --unseen
  $ vfio-conformance list clauses --unseen reports/out/results.json`,
    )
    .action(async (what: string, options: ListOptions) => {
      process.stdout.write(await list(what, options));
      done(EXIT_CODE.conforms);
    });
}

const isWhat = (what: string): what is What => Object.hasOwn(LISTS, what);

async function list(what: string, { json, unseen }: ListOptions): Promise<string> {
  if (!isWhat(what))
    throw new UsageError(`There is no list of ${what}: choose one of ${Object.keys(LISTS).join(", ")}.`);
  if (unseen !== undefined && what !== "clauses") throw new UsageError("--unseen is for `list clauses`.");
  if (unseen !== undefined) return printUnseen(await unseenClauses(unseen === true ? [] : unseen), json === true);
  const entries = LISTS[what]();
  if (json) return `${JSON.stringify(entries, null, 1)}\n`;
  if (entries.length === 0) return "";
  return `${table(entries.map(({ id, detail, title }) => (detail === undefined ? [id, title] : [id, detail, title])))}\n`;
}

/** A clause that was not seen, with the reason why none can see it, or null where one could have. */
interface Unseen extends Entry {
  readonly why: string | null;
  /** The machine that shows it, where one with an IOMMU does not. */
  readonly machine?: MachineKind;
}

/** Clauses that can't be seen, and those that none of the runs saw, in the order of the tables. */
async function unseenClauses(paths: readonly string[]): Promise<Unseen[]> {
  const missed = new Set(unseenIn(await Promise.all(paths.map(readResults))));
  return allClauses()
    .filter((clause) => clause.text.unseen !== undefined || missed.has(clause))
    .map(({ id, text }) => ({
      id,
      detail: text.errno ?? "",
      title: text.rule,
      why: text.unseen ?? null,
      ...(text.machine ? { machine: text.machine } : {}),
    }));
}

/** A line for each, and one for the reason. */
function printUnseen(entries: readonly Unseen[], json: boolean): string {
  if (json) return `${JSON.stringify(entries, null, 1)}\n`;
  if (entries.length === 0) return "";
  const lines = table(entries.map(({ id, detail, title }) => [id, detail ?? "", title])).split("\n");
  return entries.map((entry, at) => `${lines[at]}\n    ${whyUnseen(entry)}\n`).join("");
}

function whyUnseen({ why, machine }: Unseen): string {
  if (why !== null) return `out of reach: ${why}`;
  return machine === undefined ? "no run saw it" : `no run saw it; it takes the machine ${machine}`;
}
