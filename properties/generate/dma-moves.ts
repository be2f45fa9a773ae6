/** Memory that a device copies by itself, and that the process looks at: registers, and the process's own pages. */
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import { Edu } from "../../model/pci/edu.ts";
import type { AccessWidth, Call } from "../../model/program.ts";
import type { RegisterMove } from "./bar-transfers.ts";
import { type Dice, oneIn, pick } from "./dice.ts";

const { START, TO_MEMORY, INTERRUPT } = Edu.COMMAND;
const { AT, MOST } = Edu.BUFFER;
const WIDTHS: readonly AccessWidth[] = [8, 8, 4, 2, 1];

/** Where copies begin and end: in the first pages, around their borders; few are where nobody maps. */
const PAGES = [0, 0, 1, 1, 2, 3, 4, 5, 6, 8, 16];
const INSIDE = [0, 0, 0, 0, 0, 8, PAGE - 8, PAGE - 4, PAGE - 1];
const COUNTS = [8, 8, 8, 16, 1, 4, 3, 64, MOST - 0x200];
const IN_BUFFER = [0, 0, 0, 0, 0, 8, 0x200];

const bytesOf = (value: number): number[] =>
  Array.from({ length: 8 }, (_, at) => Math.floor(value / 2 ** (8 * at)) & 0xff);

/** All that a copy takes in one write, of which the command is the last. */
export function copyMove(dice: Dice, toMemory = oneIn(dice, 2), page = pick(dice, PAGES)): RegisterMove {
  const address = page * PAGE + pick(dice, INSIDE) + (oneIn(dice, 24) ? 2 ** 28 : 0);
  const place = AT + pick(dice, IN_BUFFER);
  const command = START | (toMemory ? TO_MEMORY : 0n) | (oneIn(dice, 6) ? INTERRUPT : 0n);
  const [source, destination] = toMemory ? [place, address] : [address, place];
  const values = [source, destination, pick(dice, COUNTS), Number(command)];
  return { at: Edu.REGISTER.DMA_SOURCE, count: 32, bytes: values.flatMap(bytesOf) };
}

/** The process stores to its own memory, or looks at it. */
export function ownMemory(dice: Dice, page = pick(dice, PAGES)): Call {
  const width = pick(dice, WIDTHS);
  const inside = pick(dice, INSIDE);
  const offset = page * PAGE + inside - (inside % width);
  if (oneIn(dice, 16)) return { op: "load", at: MEMORY.userReadonly, offset, width };
  if (oneIn(dice, 2)) return { op: "load", at: MEMORY.user, offset, width };
  return { op: "store", at: MEMORY.user, offset, width, value: 1 + dice.roll(2 ** (8 * Math.min(width, 3))) };
}
