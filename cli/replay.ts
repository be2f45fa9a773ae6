/** `replay`: one program on a target, call by call as strace would print it. */

import type { Command } from "commander";
import { deviationsOf, guardsOf } from "../campaign/deviations/all.ts";
import type { Deviation } from "../campaign/deviations/deviation.ts";
import type { JudgeOptions } from "../campaign/judge.ts";
import { listing, modelListing } from "../campaign/listing.ts";
import { runOne, violationOn } from "../campaign/one-run.ts";
import { type Examined, examine, type Problem } from "../campaign/problem.ts";
import { EXIT_CODE, type ExitCode, type ListedCall } from "../campaign/results.ts";
import { parseProgram } from "../model/format/program-file.ts";
import { LockOrder } from "../model/kernel/lock.ts";
import type { MachineOptions } from "../model/machine.ts";
import type { Program } from "../model/program.ts";
import { findProperty } from "../properties/all.ts";
import { rerun } from "../properties/generate/walk.ts";
import { HISTORY_INVARIANTS } from "../properties/invariants/all.ts";
import { sampleOne } from "../properties/sample.ts";
import { Watch } from "../properties/watch.ts";
import { modelExpectations } from "../reports/c/expectations.ts";
import { toC } from "../reports/c-program.ts";
import { counted, ruleText } from "../reports/verdict.ts";
import { findScenario } from "../scenarios/all.ts";
import { ModelTarget } from "../targets/model.ts";
import type { ProgramRun, Target } from "../targets/target.ts";
import { UsageError } from "./errors.ts";
import { readText, writeText } from "./files.ts";
import { Interrupt } from "./interrupt.ts";
import { dim, printListing, red, type Style, styleOf } from "./listing.ts";
import { openProgress } from "./progress.ts";
import { ofLength } from "./run.ts";
import { addTargetOptions, chooseTarget, startTarget, type TargetOptions } from "./target-options.ts";
import { parseCount } from "./values.ts";

interface ReplayOptions extends TargetOptions {
  readonly calls?: number;
  readonly c?: string;
  readonly ignoreDeviations?: boolean;
  readonly force?: boolean;
}

const EXAMPLES = `
Examples:
  $ vfio-conformance replay reports/out/findings/hot-reset-1a2b3c4d.json --kernel 7.2
  $ vfio-conformance replay kvm-vfio:-1203946:17                      a generated program, by property, seed and path
  $ vfio-conformance replay bind-drops-vm --kernel 6.12 --ignore-deviations   a scenario
  $ vfio-conformance replay group-changes-backend --kernel 7.2 --force
  $ vfio-conformance replay bind-drops-vm --c bind-drops-vm.c          as C, to be compiled and run anywhere

Exit code: 0 nothing differs, 1 something does, 3 the suite or the target broke.`;

export function addReplay(program: Command, done: (code: ExitCode) => void): void {
  addTargetOptions(program.command("replay"))
    .description("run one program and print it call by call; the first difference stands out")
    .argument("<program>", "a program file, a scenario, or PROPERTY:SEED:PATH of a generated program")
    .option("--calls <n>", "the --calls of the run that PROPERTY:SEED:PATH is from", parseCount)
    .option("--c <file>", "also write the program as C, with what is right by the model for each call")
    .option("--ignore-deviations", "judge as if no deviation of the kernel were known")
    .option("--force", "go on where a known deviation would destroy the kernel under test")
    .addHelpText("after", EXAMPLES)
    .action(async (name: string, options: ReplayOptions) => done(await replay(name, options)));
}

async function replay(name: string, options: ReplayOptions): Promise<ExitCode> {
  const chosen = chooseTarget(options);
  // One program needs one guest.
  const choice = chosen.kind === "qemu" ? { ...chosen, jobs: 1 } : chosen;
  // What can't be read is told before a kernel is booted for it.
  const source = await openSource(name, options.calls);
  const progress = openProgress(process.stderr);
  using interrupt = new Interrupt((text) => process.stderr.write(text));
  const { signal } = interrupt;
  await using target = await startTarget(choice, { progress, signal });
  const known = target instanceof ModelTarget ? [] : deviationsOf(target.profile);
  const guarded = options.force ? [] : known.filter(({ destructive }) => destructive);
  const whole = source.program(target, known);
  if (options.c !== undefined) await writeText(options.c, asC(name, whole, target));
  const program = options.force ? whole : upToGuards(whole, target, guarded);
  const run = await runOne(target, program);
  signal.throwIfAborted();
  const judging: JudgeOptions = {
    topology: target.topology,
    profile: target.profile,
    deviations: options.ignoreDeviations
      ? guarded
      : known.filter((deviation) => !deviation.destructive || guarded.includes(deviation)),
  };
  const examined = examine(run, judging, HISTORY_INVARIANTS);
  const violated = violationOn(target, program);
  const cut = whole.calls.length - program.calls.length;
  const lines = violated && !examined.problem ? modelLines(target, program) : listing(run, judging);
  process.stdout.write(
    print({ target, lines, run, examined, problem: examined.problem ?? violated, cut }, styleOf(process.stdout)),
  );
  return examined.problem || violated ? EXIT_CODE.differs : EXIT_CODE.conforms;
}

/** Where the program comes from; generated ones need to know the target first. */
interface Source {
  program(target: Target, known: readonly Deviation[]): Program;
}

async function openSource(name: string, calls: number | undefined): Promise<Source> {
  const generated = /^([a-z][a-z0-9-]*):(-?\d+):([\d:]+)$/.exec(name);
  if (generated) return generatedSource(generated[1] ?? "", Number(generated[2]), generated[3] ?? "", calls);
  const scenario = findScenario(name);
  if (scenario) return { program: ({ topology }) => ({ machine: topology.name, calls: scenario.calls }) };
  const program = parseProgram(await readText(name), name);
  return { program: () => program };
}

function generatedSource(id: string, seed: number, path: string, calls: number | undefined): Source {
  const property = findProperty(id);
  if (!property) throw new UsageError(`There is no property ${id}: \`list properties\` tells which there are.`);
  return {
    program({ topology, profile }, known) {
      const options: MachineOptions = { topology, profile, order: new LockOrder(), overrides: guardsOf(known) };
      return sampleOne(ofLength(property, calls), options, seed, path, () => new Watch([], [])).program;
    },
  };
}

/** The program up to the first call that a guard forbids. */
function upToGuards(program: Program, { topology, profile }: Target, guarded: readonly Deviation[]): Program {
  if (guarded.length === 0) return program;
  const made = rerun(program.calls, { topology, profile, overrides: guardsOf(guarded) }, new Watch([], []));
  const free = rerun(program.calls, { topology, profile }, new Watch([], []));
  return made < free ? { ...program, calls: program.calls.slice(0, made) } : program;
}

/** The program as C that compiles alone. */
function asC(name: string, program: Program, { topology, profile }: Target): string {
  const what = findScenario(name)?.title ?? `The program ${name}.`;
  return toC(program, topology, modelExpectations(program, { topology, profile }), { what });
}

function modelLines(target: Target, program: Program): ListedCall[] {
  if (!(target instanceof ModelTarget)) return [];
  const { topology, profile, overrides } = target;
  return modelListing(program, { topology, profile, overrides });
}

/** Everything that there is to say of a replay. */
interface Replayed {
  readonly target: Target;
  readonly lines: readonly ListedCall[];
  readonly run: ProgramRun;
  readonly examined: Examined;
  readonly problem: Problem | null;
  /** Calls that were left out because of a guard. */
  readonly cut: number;
}

function print({ target, lines, run, examined, problem, cut }: Replayed, style: Style): string {
  const { verdict, known } = examined;
  const parts = [dim(target.about.name, style), printListing(lines, problem?.at ?? null, style)];
  if (run.program.machine !== target.topology.name) {
    parts.push(`The program was made for the machine ${run.program.machine}; this is ${target.topology.name}.`);
  }
  if (cut > 0) {
    parts.push(
      `The last ${counted(cut, "call")} were left out: they would destroy this kernel (a known deviation); --force makes them.`,
    );
  }
  if (run.log.trim() !== "") parts.push(run.log.trimEnd());
  for (const leak of run.leaks) if (leak !== problem?.what) parts.push(leak);
  if (verdict.kind === "not-comparable") {
    parts.push(`From call ${verdict.at + 1} on nothing could be compared: ${verdict.why}.`);
  }
  if (known.length > 0) parts.push(`Known deviations that were met: ${known.join(", ")}.`);
  if (problem) {
    const text = problem.rule === null ? undefined : ruleText(problem.rule);
    parts.push(red(problem.what, style) + (text ? `\n${problem.rule}: ${text.rule}` : ""));
  } else {
    parts.push("Nothing differs from what is expected.");
  }
  return `${parts.join("\n\n")}\n`;
}
