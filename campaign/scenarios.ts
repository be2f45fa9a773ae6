/**
 * Scenarios on a target: each is run once as it stands and judged like any other program. Those that do not apply to
 * the target are listed with the reason.
 */

import type { Program } from "../model/program.ts";
import { Coverage } from "../properties/coverage.ts";
import { HISTORY_INVARIANTS } from "../properties/invariants/all.ts";
import { type Scenario, whyNot } from "../scenarios/scenario.ts";
import { ModelTarget } from "../targets/model.ts";
import { type ProgramRun, type Target, TargetError } from "../targets/target.ts";
import type { CampaignOutcome } from "./campaign.ts";
import { deviationsOf } from "./deviations/all.ts";
import type { Deviation } from "./deviations/deviation.ts";
import type { JudgeOptions } from "./judge.ts";
import { listing, modelListing } from "./listing.ts";
import { runOne, violationOn } from "./one-run.ts";
import type { CampaignProgress } from "./options.ts";
import { type Examined, examine, findingId, type Problem } from "./problem.ts";
import type { Finding, ListedCall, PropertyResult } from "./results.ts";

export interface ScenarioOptions {
  readonly target: Target;
  readonly scenarios: readonly Scenario[];
  /** Known deviations to reckon with; those of the target's kernel unless given. */
  readonly deviations?: readonly Deviation[];
  readonly progress?: CampaignProgress;
  readonly signal?: AbortSignal;
}

/** Whether a scenario would destroy a kernel that has the deviation which it shows. */
export function isDestructive({ breaks }: Scenario, deviations: readonly Deviation[]): boolean {
  return deviations.some(({ id, destructive }) => id === breaks && destructive === true);
}

/** Runs scenarios one after the other. Results gathered so far are kept when it is interrupted. */
export async function runScenarios(options: ScenarioOptions): Promise<CampaignOutcome> {
  const { target, scenarios, progress, signal } = options;
  const deviations = options.deviations ?? (target instanceof ModelTarget ? [] : deviationsOf(target.profile));
  const coverage = new Coverage();
  const properties: PropertyResult[] = [];
  let interrupted: string | null = null;
  for (const scenario of scenarios) {
    if (interrupted !== null || signal?.aborted) break;
    try {
      const result = await runScenario(scenario, target, deviations, coverage);
      properties.push(result);
      const { id, programs, calls, findings } = result;
      for (const { what } of findings) progress?.found(id, what);
      progress?.property(id, { programs, calls, findings: findings.length });
    } catch (cause) {
      if (!(cause instanceof TargetError)) throw cause;
      interrupted = cause.message;
    }
  }
  if (signal?.aborted) interrupted = "The campaign was interrupted.";
  return { properties, coverage, interrupted };
}

async function runScenario(
  scenario: Scenario,
  target: Target,
  deviations: readonly Deviation[],
  coverage: Coverage,
): Promise<PropertyResult> {
  const began = performance.now();
  const reason = whyNot(scenario, target.profile, target.topology);
  if (reason !== null) return resultOf(scenario, { reason, began });

  const program: Program = { machine: target.topology.name, calls: scenario.calls };
  const violated = violationOn(target, program);
  const run = await runOne(target, program);
  const { topology, profile } = target;
  // What a destructive deviation does lies past the point where judging with it ends: it shows as a difference.
  const shows = deviations.find(({ id, destructive }) => id === scenario.breaks && destructive);
  const judging: JudgeOptions = {
    topology,
    profile,
    deviations: deviations.filter((deviation) => deviation !== shows),
    observer: { agreed: (_call, answer, kept) => coverage.note(answer, kept) },
  };
  const examined = examine(run, judging, HISTORY_INVARIANTS);
  coverage.programs++;
  const problem = examined.problem ?? violated;
  if (problem && shows) return resultOf(scenario, { run, examined, began, known: [shows.id] });
  if (!problem) return resultOf(scenario, { run, examined, began });
  const lines =
    problem === violated && target instanceof ModelTarget
      ? modelListing(program, { topology, profile, overrides: target.overrides })
      : listing(run, judging);
  return resultOf(scenario, { run, examined, began, finding: findingOf(scenario, problem, run, lines) });
}

function findingOf({ id }: Scenario, problem: Problem, run: ProgramRun, lines: readonly ListedCall[]): Finding {
  return {
    id: findingId(id, problem),
    kind: problem.kind,
    what: problem.what,
    rule: problem.rule,
    by: id,
    seed: 0,
    path: "0",
    program: run.program,
    originalCalls: run.program.calls.length,
    at: problem.at,
    listing: lines,
    log: run.log,
    reproduced: true,
    times: 1,
  };
}

interface Happened {
  readonly began: number;
  /** Why it was not run. */
  readonly reason?: string;
  readonly run?: ProgramRun;
  readonly examined?: Examined;
  readonly finding?: Finding;
  /** The destructive deviation that it showed. */
  readonly known?: readonly string[];
}

function resultOf(scenario: Scenario, { began, reason, run, examined, finding, known }: Happened): PropertyResult {
  const verdict = examined?.verdict;
  const incomparable = reason ?? (verdict?.kind === "not-comparable" ? verdict.why : notRun(run));
  const whole = run?.outcomes.length === scenario.calls.length;
  const met = [...new Set([...(examined?.known ?? []), ...(known ?? [])])];
  return {
    id: scenario.id,
    title: scenario.title,
    kind: "scenario",
    programs: run ? 1 : 0,
    calls: run?.outcomes.length ?? 0,
    seconds: (performance.now() - began) / 1000,
    goals: [
      {
        id: "played",
        title: "the scenario was played to its end, or to what it is the evidence of",
        reached: (whole && incomparable === undefined) || known ? 1 : 0,
        attainable: reason === undefined,
      },
    ],
    findings: finding ? [finding] : [],
    known: met.map((id) => ({ id, programs: 1 })),
    notComparable: incomparable === undefined ? [] : [{ why: incomparable, programs: run ? 1 : 0 }],
  };
}

function notRun(run: ProgramRun | undefined): string | undefined {
  return run?.end.kind === "not-run" ? run.end.why : undefined;
}
