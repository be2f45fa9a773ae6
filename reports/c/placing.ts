/** Where an argument of a call lies, and whether the kernel may choose its result. */
import type { Call, Place } from "../../model/program.ts";
import type { Expectation } from "./expectations.ts";

/** Whether any number will do for a result that is no error. */
export function isChosen(call: Call, expectation: Expectation | null): boolean {
  if (!expectation || expectation.ret < 0 || call.op === "start") return false;
  return ("as" in call && call.as !== undefined) || (expectation.chosen ?? []).some(({ at }) => at === "return");
}

/** The address of a block's content, put there first. */
export function placed(place: Place | undefined, index: number, from: string, length: string): string {
  if (place === "null") return "0";
  if (place === "unmapped") return "HOLE";
  if (place === "readonly") return `put_readonly(BLOCK(${index}), ${from}, ${length})`;
  if (place === undefined) return `put(BLOCK(${index}), ${from}, ${length})`;
  return `put_short(${place}, ${from}, ${length})`;
}

/** The address where a program can look at a block's content after the call. */
export function readableAt(place: number | "readonly" | undefined, index: number): string {
  return typeof place === "number" ? `SCRATCH + SCRATCH_SIZE - ${place}` : `BLOCK(${index})`;
}

/** Whether there is no memory at all at a place. */
export function isNowhere(place: Place | undefined): place is "null" | "unmapped" {
  return place === "null" || place === "unmapped";
}
