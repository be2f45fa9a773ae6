/** Findings of one property: each problem once, shrunk on the target that showed it. */
import { LockOrder } from "../model/kernel/lock.ts";
import type { MachineOptions } from "../model/machine.ts";
import type { Program } from "../model/program.ts";
import { rerun, UNWATCHED } from "../properties/generate/walk.ts";
import type { Violation } from "../properties/invariants/invariant.ts";
import { type Property, watchFor } from "../properties/property.ts";
import { shrinkProgram } from "../properties/shrink.ts";
import type { ProgramRun, Target } from "../targets/target.ts";
import type { JudgeOptions } from "./judge.ts";
import { listing, modelListing } from "./listing.ts";
import { minimise } from "./minimise.ts";
import type { CampaignOptions, CampaignProgress } from "./options.ts";
import { brokenInvariant, examine, findingId, type Problem } from "./problem.ts";
import type { Finding } from "./results.ts";

/** Where a program came from. */
export interface Origin {
  readonly program: Program;
  readonly seed: number;
  readonly path: string;
}

/** Runs, and seconds, that shrinking one finding may cost on a target. */
const TRIES = 2000;
const SECONDS = 120;
/** Findings of one property that are worth shrinking; more of them say little more. */
const MOST = 20;

export class Findings {
  readonly #property: Property;
  readonly #target: Target;
  readonly #judging: JudgeOptions;
  readonly #machine: MachineOptions;
  readonly #progress: CampaignProgress | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #found = new Map<string, Finding>();
  readonly #times = new Map<string, number>();

  constructor(
    property: Property,
    { target, progress, signal }: Pick<CampaignOptions, "target" | "progress" | "signal">,
    judging: JudgeOptions,
    machine: MachineOptions,
  ) {
    this.#property = property;
    this.#target = target;
    this.#judging = judging;
    this.#machine = machine;
    this.#progress = progress;
    this.#signal = signal;
  }

  /** Kinds of problem seen. */
  get count(): number {
    return this.#times.size;
  }

  all(): Finding[] {
    return [...this.#found].map(([signature, finding]) => ({ ...finding, times: this.#times.get(signature) ?? 1 }));
  }

  /** Counts the problem; true the first time that its like is seen. */
  isNew({ signature }: Pick<Problem, "signature">): boolean {
    const times = this.#times.get(signature) ?? 0;
    this.#times.set(signature, times + 1);
    return times === 0 && this.#times.size <= MOST;
  }

  /** Shrinks a problem on the target and keeps it. Call only when the target is idle. */
  async add(origin: Origin, run: ProgramRun, problem: Problem): Promise<void> {
    this.#progress?.found(this.#property.id, problem.what);
    const show = (candidate: ProgramRun) =>
      examine(candidate, this.#judging, this.#property.history).problem?.signature ?? null;
    const playable = ({ calls, ...rest }: Program): Program => {
      const length = rerun(calls, { ...this.#machine, order: new LockOrder() }, UNWATCHED);
      return { ...rest, calls: calls.slice(0, length) };
    };
    // Who asks the campaign to end does not wait for the smallest program.
    const effort = { playable, tries: TRIES, seconds: SECONDS, signal: this.#signal };
    const smallest = await minimise(this.#target, run, problem.signature, show, effort);
    const examined = examine(smallest.run, this.#judging, this.#property.history);
    const final = examined.problem ?? problem;
    this.#keep(origin, final, smallest.run.program, {
      listing: listing(smallest.run, this.#judging),
      log: smallest.run.log,
      reproduced: smallest.reproduced,
    });
  }

  /** Shrinks a broken invariant of the model and keeps it. */
  async addViolation(origin: Origin, violation: Violation, machine: MachineOptions): Promise<void> {
    const problem = brokenInvariant(violation);
    if (!this.isNew(problem)) return;
    this.#progress?.found(this.#property.id, problem.what);
    const broken = (program: Program): Violation | null => {
      const watch = watchFor(this.#property);
      rerun(program.calls, { ...machine, order: new LockOrder() }, watch);
      return watch.violation?.invariant === violation.invariant ? watch.violation : null;
    };
    let smallest = origin.program;
    let shown = broken(smallest);
    const reproduced = shown !== null;
    for (let smaller: Program | undefined = smallest; smaller && reproduced; ) {
      smaller = undefined;
      for (const candidate of shrinkProgram(smallest)) {
        const again = broken(candidate);
        if (!again) continue;
        smaller = candidate;
        smallest = candidate;
        shown = again;
        break;
      }
    }
    this.#keep(origin, shown ? brokenInvariant(shown) : problem, smallest, {
      listing: modelListing(smallest, machine),
      log: "",
      reproduced,
    });
  }

  #keep(
    { program, seed, path }: Origin,
    problem: Problem,
    smallest: Program,
    shown: Pick<Finding, "listing" | "log" | "reproduced">,
  ): void {
    const { id } = this.#property;
    this.#found.set(problem.signature, {
      id: findingId(id, problem),
      kind: problem.kind,
      what: problem.what,
      rule: problem.rule,
      by: id,
      seed,
      path,
      program: smallest,
      originalCalls: program.calls.length,
      at: problem.at,
      times: 1,
      ...shown,
    });
  }
}
