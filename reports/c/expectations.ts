/** What a program that stands alone checks its calls against. */

import { type ChoiceSite, type Chooser, ownChoice } from "../../model/kernel/kernel.ts";
import { Blocked, Unmodelled } from "../../model/kernel/operation.ts";
import { Machine, type MachineOptions } from "../../model/machine.ts";
import type { Program } from "../../model/program.ts";

/**
 * What is right for one call. Numbers in it are those of one possible run: where they are a handle's, a program on its own
 * compares with what the handle holds there and then.
 */
export interface Expectation {
  /** Return value, or a negative errno. */
  readonly ret: number;
  /** The struct after the call, as far as its content is defined. */
  readonly bytes?: Uint8Array;
  /** What a probe or a sysfs read gives. */
  readonly text?: string;
  /** The clause that refuses the call. */
  readonly clause?: string | null;
  /** Where the kernel may choose, besides handles that the call makes: any value is right there. */
  readonly chosen?: readonly ChoiceSite[];
}

/** What the model expects of each call; null from the first call on that it can't answer. */
export function modelExpectations(program: Program, options: MachineOptions): (Expectation | null)[] {
  let chosen: ChoiceSite[] = [];
  const inner = options.chooser ?? ownChoice;
  const chooser: Chooser = {
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
      const { ret, length, text, refusedBy } = machine.step(call);
      expectations.push({
        ret,
        clause: refusedBy?.id ?? null,
        chosen,
        ...(length > 0 ? { bytes: machine.block.slice(0, Math.min(length, machine.definedUpTo)) } : {}),
        ...(text === undefined ? {} : { text }),
      });
    } catch (thrown) {
      if (!(thrown instanceof Blocked || thrown instanceof Unmodelled)) throw thrown;
      break;
    }
  }
  while (expectations.length < program.calls.length) expectations.push(null);
  return expectations;
}
