/** `run`: properties and scenarios on a target, reports, a summary. */
import { randomInt } from "node:crypto";
import type { Command } from "commander";
import { assemble } from "../campaign/assemble.ts";
import { type CampaignOutcome, runCampaign } from "../campaign/campaign.ts";
import { parseDeviations, type RecordedDeviation } from "../campaign/deviation-file.ts";
import { deviationsOf } from "../campaign/deviations/all.ts";
import type { Budget, CampaignProgress } from "../campaign/options.ts";
import { EXIT_CODE, type ExitCode, exitCodeOf, type Results } from "../campaign/results.ts";
import { isDestructive, runScenarios } from "../campaign/scenarios.ts";
import { PROPERTIES } from "../properties/all.ts";
import type { Property } from "../properties/property.ts";
import { formatResults } from "../reports/json.ts";
import { DEFAULT_DIRECTORY, writeReports } from "../reports/write.ts";
import { SCENARIOS } from "../scenarios/all.ts";
import type { Scenario } from "../scenarios/scenario.ts";
import { ModelTarget } from "../targets/model.ts";
import type { Target } from "../targets/target.ts";
import { CampaignLines } from "./campaign-lines.ts";
import { UsageError } from "./errors.ts";
import { readText } from "./files.ts";
import { Interrupt } from "./interrupt.ts";
import { styleOf } from "./listing.ts";
import { openProgress, type Progress, stage } from "./progress.ts";
import { summarise } from "./summary.ts";
import { addTargetOptions, chooseTarget, startTarget, type TargetOptions } from "./target-options.ts";
import { parseCount, parseDuration, parseList, parseSeed } from "./values.ts";

interface RunOptions extends TargetOptions {
  readonly runs?: number;
  readonly time?: number;
  readonly calls?: number;
  readonly seed?: number;
  readonly only?: readonly string[];
  readonly deviations?: string;
  readonly json?: boolean;
  readonly out: string;
}

/** Seconds that are spent where neither --runs nor --time says anything. */
const SECONDS = { model: 30, kernel: 60 } as const;

const EXAMPLES = `
Examples:
  $ vfio-conformance run                                  the model of 7.2 against its invariants, 30 s
  $ vfio-conformance run --kernel 6.12 --time 10m         Linux 6.12, built when first asked for, in QEMU
  $ vfio-conformance run --tree ~/linux --flavour debug   your tree, with lockdep and KASAN
  $ vfio-conformance run --kernel bzImage --only hot-reset,kvm-vfio
  $ vfio-conformance run --fault destroy-in-use           a fault in the model, which must be found
  $ git bisect run vfio-conformance run --tree . --only ioas-unmap-partial

Exit code: 0 conforms, 1 differs, 2 too little was exercised, 3 the suite or the target broke.`;

export function addRun(program: Command, done: (code: ExitCode) => void): void {
  addTargetOptions(program.command("run"))
    .description("run properties and scenarios on a target, and report what differs")
    .option("--runs <n>", "programs in all; no limit of time unless --time is given", parseCount)
    .option(
      "--time <time>",
      `such as 30s or 5m (default: ${SECONDS.model}s for the model, ${SECONDS.kernel}s for kernels)`,
      parseDuration,
    )
    .option("--calls <n>", "calls of a program at the most (default: what its property says, 100)", parseCount)
    .option("--seed <n>", "the seed of a run that is to be had again (default: a new one)", parseSeed)
    .option("--only <ids>", "only these properties and scenarios, separated by commas", parseList)
    .option("--deviations <file>", "differences of this kernel that are on record, see docs/deviations.md")
    .option("--json", "results as JSON on stdout instead of the summary")
    .option("--out <directory>", "where reports are written", DEFAULT_DIRECTORY)
    .addHelpText("after", EXAMPLES)
    .action(async (options: RunOptions) => done(await run(options)));
}

/** Properties and scenarios by their ids; everything that does no harm without any. */
export interface Selection {
  readonly properties: readonly Property[];
  /** Scenarios that were named, whatever they do to a kernel. */
  readonly named: readonly Scenario[] | null;
}

export function select(only: readonly string[] | undefined): Selection {
  if (!only) return { properties: PROPERTIES, named: null };
  const unknown = only.find((id) => ![...PROPERTIES, ...SCENARIOS].some((each) => each.id === id));
  if (unknown !== undefined) {
    throw new UsageError(
      `There is no property or scenario ${unknown}: \`list properties\` and \`list scenarios\` tell which there are.`,
    );
  }
  return {
    properties: PROPERTIES.filter(({ id }) => only.includes(id)),
    named: SCENARIOS.filter(({ id }) => only.includes(id)),
  };
}

/** The property with programs of another length, where one is asked for. Some goals are too far for shorter ones. */
export function ofLength(property: Property, calls: number | undefined): Property {
  return calls === undefined ? property : { ...property, length: calls, cut: calls < property.length };
}

/** What may be spent on a target. */
export function budgetOf({ runs, time }: Pick<RunOptions, "runs" | "time">, onModel: boolean): Budget {
  if (runs === undefined) return { seconds: time ?? (onModel ? SECONDS.model : SECONDS.kernel) };
  return time === undefined ? { runs } : { runs, seconds: time };
}

async function run(options: RunOptions): Promise<ExitCode> {
  const choice = chooseTarget(options);
  const selected = select(options.only);
  const selection = { ...selected, properties: selected.properties.map((each) => ofLength(each, options.calls)) };
  const recorded =
    options.deviations === undefined ? [] : parseDeviations(await readText(options.deviations), options.deviations);
  const seed = options.seed ?? randomInt(2 ** 31);
  const progress = openProgress(process.stderr);
  using interrupt = new Interrupt((text) => process.stderr.write(text));
  const { signal } = interrupt;

  const began = new Date();
  let results: Results;
  {
    await using target = await startTarget(choice, { progress, signal });
    const budget = budgetOf(options, choice.kind === "model");
    const outcomes = [
      await playScenarios(target, selection, progress, signal),
      await checkProperties(target, selection, { seed, budget, recorded, progress, signal }),
    ];
    results = assemble({ target, seed, began, outcomes });
  }
  await writeReports(results, { directory: options.out });
  if (options.json) process.stdout.write(formatResults(results));
  else process.stdout.write(`\n${summarise(results, { ...styleOf(process.stdout), directory: options.out })}`);
  return interrupt.happened ? EXIT_CODE.broken : exitCodeOf(results);
}

async function playScenarios(
  target: Target,
  { named }: Selection,
  progress: Progress,
  signal: AbortSignal,
): Promise<CampaignOutcome> {
  const known = target instanceof ModelTarget ? [] : deviationsOf(target.profile);
  const scenarios = named ?? SCENARIOS.filter((scenario) => !isDestructive(scenario, known));
  if (scenarios.length === 0) return runScenarios({ target, scenarios });
  return stage(progress, "scenarios", async (tell) => {
    let played = 0;
    let wrong = 0;
    const lines: CampaignProgress = {
      property(_id, { findings }) {
        played++;
        if (findings > 0) wrong++;
        tell(`${played} of ${scenarios.length}, ${wrong} with findings`);
      },
      found: () => {},
    };
    return runScenarios({ target, scenarios, progress: lines, signal });
  });
}

interface Checking {
  readonly seed: number;
  readonly budget: Budget;
  readonly recorded: readonly RecordedDeviation[];
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

async function checkProperties(
  target: Target,
  { properties }: Selection,
  { progress, ...checking }: Checking,
): Promise<CampaignOutcome> {
  const lines = new CampaignLines(
    progress,
    properties.map(({ id }) => id),
  );
  try {
    const outcome = await runCampaign({ target, properties, ...checking, progress: lines });
    await lines.end();
    return outcome;
  } catch (cause) {
    await lines.fail();
    throw cause;
  }
}
