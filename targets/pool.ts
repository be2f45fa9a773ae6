/** Several targets of one kind as one: programs go to whichever is free, runs come back in the programs' order. */
import { isDeepStrictEqual } from "node:util";
import type { Profile } from "../model/profile.ts";
import type { Program } from "../model/program.ts";
import type { Topology } from "../model/topology.ts";
import { type ProgramRun, type Target, type TargetAbout, TargetError } from "./target.ts";

export class Pool implements Target {
  readonly #targets: readonly [Target, ...Target[]];

  /** @throws TargetError where the targets are not the same machine; they are ended then. */
  static async of(targets: readonly Target[]): Promise<Target> {
    const [first, ...others] = targets;
    if (!first) throw new TargetError("A pool needs a target.");
    if (others.length === 0) return first;
    if (!others.every(({ topology }) => isDeepStrictEqual(topology, first.topology))) {
      await Promise.all(targets.map((target) => target[Symbol.asyncDispose]()));
      throw new TargetError("The guests came up with different devices; try again with --jobs 1.");
    }
    return new Pool([first, ...others]);
  }

  private constructor(targets: readonly [Target, ...Target[]]) {
    this.#targets = targets;
  }

  get about(): TargetAbout {
    const { about } = this.#targets[0];
    return { ...about, notes: [...about.notes, `${this.#targets.length} guests ran at once.`] };
  }

  get topology(): Topology {
    return this.#targets[0].topology;
  }

  get profile(): Profile {
    return this.#targets[0].profile;
  }

  async *run(programs: Iterable<Program>): AsyncGenerator<ProgramRun, void, undefined> {
    const merged = new Merge(programs);
    const working = Promise.all(this.#targets.map((target) => merged.work(target)));
    try {
      yield* merged.runs();
    } finally {
      merged.stop();
      await working;
    }
  }

  async *settle(): AsyncGenerator<ProgramRun, void, undefined> {
    // All at once: to find out may take each of them minutes.
    const found = await Promise.all(this.#targets.map(foundOut));
    yield* found.flat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#targets.map((target) => target[Symbol.asyncDispose]()));
  }
}

async function foundOut(target: Target): Promise<ProgramRun[]> {
  const runs: ProgramRun[] = [];
  if (target.settle) for await (const run of target.settle()) runs.push(run);
  return runs;
}

/** Programs on their way to several targets, and their runs on the way back. */
class Merge {
  readonly #source: Iterator<Program>;
  /** A program's number in the order that was asked for. */
  readonly #number = new WeakMap<Program, number>();
  readonly #ready = new Map<number, ProgramRun>();
  /** Runs of programs that came back already: more was found out about them. */
  readonly #again: ProgramRun[] = [];
  #taken = 0;
  #due = 0;
  #working = 0;
  #stopped = false;
  #failure: unknown;
  #wake: () => void = () => {};

  constructor(programs: Iterable<Program>) {
    this.#source = programs[Symbol.iterator]();
  }

  /** Has a target run programs until there are none left. Never rejects: a failure comes out of `runs`. */
  async work(target: Target): Promise<void> {
    this.#working++;
    try {
      for await (const run of target.run(this.#supply())) {
        // A program that is not of this run was found out about late.
        const number = this.#number.get(run.program) ?? -1;
        if (number < this.#due || this.#ready.has(number)) this.#again.push(run);
        else this.#ready.set(number, run);
        this.#wake();
      }
    } catch (cause) {
      // What the others have under way is still worth having.
      this.#failure ??= cause;
      this.#stopped = true;
    }
    this.#working--;
    this.#wake();
  }

  *#supply(): Generator<Program> {
    while (!this.#stopped) {
      const next = this.#source.next();
      if (next.done) return;
      this.#number.set(next.value, this.#taken++);
      yield next.value;
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  async *runs(): AsyncGenerator<ProgramRun, void, undefined> {
    for (;;) {
      yield* this.#again.splice(0);
      const run = this.#ready.get(this.#due);
      if (run) {
        this.#ready.delete(this.#due++);
        yield run;
      } else if (this.#working > 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      } else {
        // After a failure there are gaps, where programs were lost with their target.
        for (const number of [...this.#ready.keys()].sort((a, b) => a - b)) {
          const left = this.#ready.get(number);
          if (left) yield left;
        }
        if (this.#failure !== undefined) throw this.#failure;
        return;
      }
    }
  }
}
