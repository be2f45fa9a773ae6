/** Listings: the calls of a run one a line, with what was expected and what came back. */

import { printOutcome } from "../model/format/outcome.ts";
import { printCall } from "../model/format/print.ts";
import { Blocked, Unmodelled } from "../model/kernel/operation.ts";
import { Machine, type MachineOptions } from "../model/machine.ts";
import type { Call, Program } from "../model/program.ts";
import type { ProgramRun } from "../targets/target.ts";
import { type JudgeOptions, judge } from "./judge.ts";
import type { ListedCall } from "./results.ts";

/** A run on a target beside what the model expected, up to the first call that differs. */
export function listing(run: ProgramRun, judging: JudgeOptions): ListedCall[] {
  const { program, outcomes } = run;
  const verdict = judge(program, outcomes, judging);
  return program.calls.map((call, at) => {
    const outcome = outcomes[at];
    const differs = verdict.kind === "differs" && verdict.at === at ? verdict.expected : null;
    return {
      call: printCall(call, judging.topology),
      observed: outcome ? printOutcome(call, outcome) : null,
      expected: differs && printOutcome(call, differs),
      clause: differs?.clause ?? null,
    };
  });
}

/** A program on the model alone. */
export function modelListing(program: Program, options: MachineOptions): ListedCall[] {
  const machine = new Machine(options);
  const lines: ListedCall[] = [];
  for (const call of program.calls) {
    const [observed, clause] = onModel(machine, call);
    lines.push({ call: printCall(call, options.topology), observed, expected: null, clause });
  }
  return lines;
}

function onModel(machine: Machine, call: Call): [observed: string, clause: string | null] {
  try {
    const { refusedBy } = machine.step(call);
    return [printOutcome(call, machine.outcome()), refusedBy?.id ?? null];
  } catch (thrown) {
    if (thrown instanceof Blocked) return [`? waits for ${thrown.on}`, null];
    if (thrown instanceof Unmodelled) return [`? ${thrown.what} is not modelled`, null];
    throw thrown;
  }
}
