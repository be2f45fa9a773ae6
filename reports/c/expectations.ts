/** What a program that stands alone checks its calls against. */

import { type ChoiceSite, type Chooser, ownChoice } from "../../model/kernel/kernel.ts";
import { Blocked, Unmodelled } from "../../model/kernel/operation.ts";
import { Machine, type MachineOptions } from "../../model/machine.ts";
import type { Outcome, Program } from "../../model/program.ts";

/**
 * What is right for one call. Numbers in it are those of one possible run: where they are a handle's, a program on its own
 * compares with what the handle holds there and then.
 */
export interface Expectation extends Outcome {
  /** The clause that refuses the call. */
  readonly clause?: string | null;
  /** Where the kernel may choose, besides handles that the call makes: any value is right there. */
  readonly chosen?: readonly ChoiceSite[];
}

/** What the model expects of each call; null from the first call on that it can't answer. */
export function modelExpectations(program: Program, options: MachineOptions): (Expectation | null)[] {
  let chosen: ChoiceSite[] = [];
  const inner = options.chooser ?? ownChoice;
  const { failure } = inner;
  const chooser: Chooser = {
    ...(failure ? { failure: (call, file) => failure.call(inner, call, file) } : {}),
    choose(site, own, allowed) {
      chosen.push(site);
      return inner.choose(site, own, allowed);
    },
  };
  const machine = new Machine({ ...options, chooser });
  const expectations: (Expectation | null)[] = [];
  for (const call of program.calls) {
    chosen = [];
    try {
      const { refusedBy } = machine.step(call);
      expectations.push({ ...machine.outcome(), clause: refusedBy?.id ?? null, chosen });
    } catch (thrown) {
      if (!(thrown instanceof Blocked || thrown instanceof Unmodelled)) throw thrown;
      break;
    }
  }
  while (expectations.length < program.calls.length) expectations.push(null);
  return expectations;
}
