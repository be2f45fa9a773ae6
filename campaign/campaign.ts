/**
 * A campaign: takes properties to a target within a budget, judges every run, shrinks what is wrong, and counts what was
 * reached.
 */
import { LockOrder } from "../model/kernel/lock.ts";
import type { MachineOptions } from "../model/machine.ts";
import type { Program } from "../model/program.ts";
import { inRange, versionNumber } from "../model/uapi/version.ts";
import { Coverage, type Goal } from "../properties/coverage.ts";
import { type Property, watchFor } from "../properties/property.ts";
import { CHUNK, chunkSeed, sampleChunk } from "../properties/sample.ts";
import type { Watch } from "../properties/watch.ts";
import { ModelTarget } from "../targets/model.ts";
import { type ProgramRun, type Target, TargetError } from "../targets/target.ts";
import { deviationsOf, guardsOf } from "./deviations/all.ts";
import type { Deviation } from "./deviations/deviation.ts";
import { Findings } from "./findings.ts";
import { violationUnder } from "./hunt.ts";
import type { JudgeOptions } from "./judge.ts";
import type { Budget, CampaignOptions } from "./options.ts";
import { type Examined, examine } from "./problem.ts";
import type { PropertyResult } from "./results.ts";

export interface CampaignOutcome {
  readonly properties: readonly PropertyResult[];
  /** Clauses that the target was seen to keep. */
  readonly coverage: Coverage;
  /** Why it ended early, or null. */
  readonly interrupted: string | null;
}

/** Programs that the target was given, with the property that each is of: the target may come back to any of them. */
type Sent = WeakMap<Program, { readonly sampled: Sampled; readonly property: PropertyRun; taken: boolean }>;

/** A program on its way, with what is needed to make it again. */
interface Sampled {
  readonly program: Program;
  readonly watch: Watch | null;
  readonly seed: number;
  readonly path: string;
}

/** Runs the campaign. Results gathered so far are kept when it is interrupted or the target is lost for good. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignOutcome> {
  const { topology, profile } = options.target;
  const applying = options.properties.filter((property) => property.whyNot(topology, profile) === null);
  const shares = applying.reduce((sum, { share }) => sum + share, 0);
  const sent: Sent = new WeakMap();
  const parts: (PropertyRun | PropertyResult)[] = [];
  let interrupted: CampaignOutcome["interrupted"] = null;
  /** Does a part of it; what was gathered is kept when an interrupted boot or request ends it, or the target is lost. */
  const attempt = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (cause) {
      if (!options.signal?.aborted && !(cause instanceof TargetError)) throw cause;
      interrupted = cause instanceof TargetError ? cause.message : "The campaign was interrupted.";
    }
  };
  for (const property of options.properties) {
    if (interrupted !== null || options.signal?.aborted) break;
    const reason = property.whyNot(topology, profile);
    if (reason !== null) {
      parts.push(notRun(property, reason));
      continue;
    }
    const part = property.share / shares;
    const { runs, seconds } = options.budget;
    const budget: Budget = {
      ...(runs === undefined ? {} : { runs: Math.max(1, Math.round(runs * part)) }),
      ...(seconds === undefined ? {} : { seconds: seconds * part }),
    };
    const run = new PropertyRun(property, options, budget, sent);
    parts.push(run);
    await attempt(() => run.go());
  }
  const late = options.target.settle?.();
  if (late && interrupted === null && !options.signal?.aborted) await attempt(() => takeAll(late, sent));
  const coverage = new Coverage();
  for (const part of parts) if (part instanceof PropertyRun) coverage.add(part.coverage);
  const properties = parts.map((part) => (part instanceof PropertyRun ? part.result() : part));
  if (options.signal?.aborted) interrupted = "The campaign was interrupted.";
  return { properties, coverage, interrupted };
}

/** Judges runs as they come, each for the property that its program is of, and then shrinks what is new. */
async function takeAll(runs: AsyncIterable<ProgramRun>, sent: Sent): Promise<void> {
  const waiting: (() => Promise<void>)[] = [];
  for await (const run of runs) {
    const of = sent.get(run.program);
    if (!of) throw new Error("the target ran a program that it was not given");
    const shrink = of.property.take(of.sampled, run, of.taken);
    of.taken = true;
    if (shrink) waiting.push(shrink);
  }
  for (const shrink of waiting) await shrink();
}

/** What is said of a property that does not apply to the machine. */
function notRun({ id, title }: Property, why: string): PropertyResult {
  const nothing = { programs: 0, calls: 0, seconds: 0, goals: [], findings: [], known: [] };
  return { id, title, kind: "property", ...nothing, notComparable: [{ why, programs: 1 }] };
}

/** One property on one target. */
class PropertyRun {
  readonly coverage = new Coverage();
  readonly #property: Property;
  readonly #options: CampaignOptions;
  readonly #budget: Budget;
  readonly #deviations: readonly Deviation[];
  readonly #known = new Map<string, number>();
  readonly #notComparable = new Map<string, number>();
  readonly #findings: Findings;
  readonly #began = performance.now();
  readonly #machine: MachineOptions;
  readonly #sent: Sent;
  #ended = 0;
  #programs = 0;
  #calls = 0;

  constructor(property: Property, options: CampaignOptions, budget: Budget, sent: Sent) {
    this.#property = property;
    this.#options = options;
    this.#budget = budget;
    this.#sent = sent;
    const { topology, profile } = options.target;
    const onKernel = !(options.target instanceof ModelTarget);
    this.#deviations = options.deviations ?? (onKernel ? deviationsOf(profile) : []);
    this.#machine = { topology, profile, order: new LockOrder(), overrides: guardsOf(this.#deviations) };
    this.#findings = new Findings(property, options, this.#judging(null), this.#machine);
  }

  #judging(observer: Coverage | null): JudgeOptions {
    const { topology, profile } = this.#options.target;
    const { recorded } = this.#options;
    const judging: JudgeOptions = {
      topology,
      profile,
      deviations: this.#deviations,
      ...(recorded ? { recorded } : {}),
    };
    if (!observer) return judging;
    return { ...judging, observer: { agreed: (_call, answer, kept) => observer.note(answer, kept) } };
  }

  async go(): Promise<void> {
    const { target } = this.#options;
    if (target instanceof ModelTarget) await this.#onModel(target);
    else await this.#onKernel(target);
    this.#ended = performance.now();
    this.#report();
  }

  /** Programs until the budget is used up. */
  *#supply(newWatch: () => Watch | null): Generator<Sampled> {
    const { runs = Number.POSITIVE_INFINITY, seconds = Number.POSITIVE_INFINITY } = this.#budget;
    const { seed, signal } = this.#options;
    let supplied = 0;
    for (let chunk = 0; supplied < runs; chunk++) {
      if (signal?.aborted || (performance.now() - this.#began) / 1000 >= seconds) return;
      const own = chunkSeed(seed, this.#property.id, chunk);
      const count = Math.min(CHUNK, runs - supplied);
      for (const [at, { program, watch }] of sampleChunk(
        this.#property,
        this.#machine,
        own,
        newWatch,
        count,
      ).entries()) {
        supplied++;
        yield { program, watch, seed: own, path: `${at}` };
      }
      this.#report();
    }
  }

  /** The model is its own target: what was watched while generating is the run. A fault is judged like a kernel. */
  async #onModel(target: ModelTarget): Promise<void> {
    const faulty = target.overrides.length > 0;
    let sinceBreath = 0;
    for (const sampled of this.#supply(() => (faulty ? null : watchFor(this.#property, this.coverage)))) {
      this.#programs++;
      this.#calls += sampled.program.calls.length;
      if (faulty) await this.#onFaultyModel(target, sampled);
      else if (sampled.watch?.violation)
        await this.#findings.addViolation(sampled, sampled.watch.violation, this.#machine);
      if (++sinceBreath % (4 * CHUNK) === 0) await new Promise(setImmediate);
    }
  }

  async #onFaultyModel(target: ModelTarget, sampled: Sampled): Promise<void> {
    const violation = violationUnder(sampled.program, this.#property, target);
    if (violation) {
      await this.#findings.addViolation(sampled, violation, { ...this.#machine, overrides: target.overrides });
      return;
    }
    await this.take(sampled, target.runNow(sampled.program), true)?.();
  }

  async #onKernel(target: Target): Promise<void> {
    const supply = this.#supply(() => null);
    await takeAll(target.run(this.#send(supply)), this.#sent);
  }

  *#send(supply: Iterable<Sampled>): Generator<Program> {
    for (const sampled of supply) {
      this.#sent.set(sampled.program, { sampled, property: this, taken: false });
      yield sampled.program;
    }
  }

  /** Counts a run, unless that was done, and judges it. What is new in it is to be shrunk once the target is idle: shrinking needs it alone. */
  take(sampled: Sampled, run: ProgramRun, counted: boolean): (() => Promise<void>) | null {
    if (!counted) {
      this.#programs++;
      this.#calls += run.outcomes.length;
    }
    const { problem } = this.#examine(run);
    return problem && this.#findings.isNew(problem) ? () => this.#findings.add(sampled, run, problem) : null;
  }

  #examine(run: ProgramRun): Examined {
    this.coverage.programs++;
    for (const [at, outcome] of run.outcomes.entries()) {
      const call = run.program.calls[at];
      if (!call) break;
      for (const goal of this.#property.goals) if (goal.reached(call, outcome)) this.coverage.goal(goal.id);
    }
    const examined = examine(run, this.#judging(this.coverage), this.#property.history);
    for (const id of examined.known) count(this.#known, id);
    if (examined.verdict.kind === "not-comparable") count(this.#notComparable, examined.verdict.why);
    if (run.end.kind === "not-run") count(this.#notComparable, run.end.why);
    return examined;
  }

  #report(): void {
    const { progress } = this.#options;
    progress?.property(this.#property.id, {
      programs: this.#programs,
      calls: this.#calls,
      findings: this.#findings.count,
    });
  }

  result(): PropertyResult {
    const { id, title, goals, cut } = this.#property;
    return {
      id,
      title,
      kind: "property",
      programs: this.#programs,
      calls: this.#calls,
      seconds: ((this.#ended || performance.now()) - this.#began) / 1000,
      goals: goals.map((goal) => {
        const reached = this.coverage.goals(goal);
        const attainable = reached > 0 || (!cut && this.#attainable(goal));
        return { id: goal.id, title: goal.title, reached, attainable };
      }),
      findings: this.#findings.all(),
      known: [...this.#known].map(([known, programs]) => ({ id: known, programs })),
      notComparable: [...this.#notComparable].map(([why, programs]) => ({ why, programs })),
    };
  }

  #attainable({ needs }: Goal): boolean {
    const { profile, topology } = this.#options.target;
    const { version, kconfig } = profile;
    if (!needs) return true;
    if (needs.iommu && !topology.iommu) return false;
    return inRange(versionNumber(version), needs) && (needs.kconfig?.every((option) => kconfig.has(option)) ?? true);
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
