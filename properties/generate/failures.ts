/**
 * Allocations that fail: a call is first made with one allocation of it failing, then with the next, and at last as it is.
 *
 * How many allocations a call makes is the kernel's own business, so where to begin is thrown: mostly at the first ones,
 * which every kernel has, sometimes far behind what the model counts. Whichever of the calls succeeds brings the handles.
 */
import { type Call, mayRunOut } from "../../model/program.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import type { Make } from "./motif-calls.ts";

/** The first allocation that fails is one of so many. */
const BEGIN_AMONG = [1, 3, 6, 12, 30, 80] as const;
/** Allocations that fail one after the other, at the most. */
const IN_A_ROW = 4;

/** Makes a call, one time in `failOneIn` running out of memory first, as far as there is `room` for so many calls. */
export function makeShort(dice: Dice, failOneIn: number, call: Call, make: Make, room: number): boolean {
  if (!mayRunOut(call) || !oneIn(dice, failOneIn)) return make(call);
  const first = 1 + dice.roll(pick(dice, BEGIN_AMONG));
  // What a close has closed can't be closed again.
  if (call.op === "close") return make({ ...call, failNth: first });
  const times = Math.min(1 + dice.roll(IN_A_ROW), room - 1);
  for (let i = 0; i < times; i++) if (!make({ ...call, failNth: first + i })) return false;
  return make(call);
}
