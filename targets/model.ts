/** The model as a target: as it is, or with a fault in it. */
import { Deadlock, LockOrder } from "../model/kernel/lock.ts";
import { Blocked, Unmodelled } from "../model/kernel/operation.ts";
import { Machine, type Override } from "../model/machine.ts";
import type { Profile } from "../model/profile.ts";
import type { Outcome, Program } from "../model/program.ts";
import type { Topology } from "../model/topology.ts";
import type { ProgramRun, RunEnd, Target, TargetAbout } from "./target.ts";

export class ModelTarget implements Target {
  readonly topology: Topology;
  readonly profile: Profile;
  readonly overrides: readonly Override[];

  constructor(topology: Topology, profile: Profile, overrides: readonly Override[] = []) {
    this.topology = topology;
    this.profile = profile;
    this.overrides = overrides;
  }

  get about(): TargetAbout {
    const faults = this.overrides.map(({ id }) => id);
    const { version, kconfig } = this.profile;
    return {
      kind: "model",
      name: `the model of Linux ${version}${faults.length > 0 ? ` with the fault ${faults.join(", ")}` : ""}`,
      version,
      kconfig: [...kconfig],
      notes: [],
    };
  }

  async *run(programs: Iterable<Program>): AsyncGenerator<ProgramRun, void, undefined> {
    for (const program of programs) yield this.runNow(program);
  }

  /** Runs one program at once. */
  runNow(program: Program): ProgramRun {
    const { topology, profile, overrides } = this;
    const machine = new Machine({ topology, profile, overrides, order: new LockOrder() });
    const outcomes: Outcome[] = [];
    let end: RunEnd = { kind: "done" };
    for (const [at, call] of program.calls.entries()) {
      try {
        machine.step(call);
        outcomes.push(machine.outcome());
      } catch (thrown) {
        if (thrown instanceof Blocked) end = { kind: "hung", call: at, stack: `waiting for ${thrown.on}` };
        else if (thrown instanceof Unmodelled) end = { kind: "not-run", why: thrown.what };
        else if (thrown instanceof Deadlock) end = { kind: "died", why: thrown.chain, console: "" };
        else throw thrown;
        break;
      }
    }
    return { program, outcomes, end, log: "", leaks: [] };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
