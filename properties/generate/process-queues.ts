/** What programs of the host do with a queue that they have open: descriptors for their own memory, and memory that is touched. */
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import { DESCRIPTOR, FLAG } from "../../model/mdev/idxd/descriptor.ts";
import { encode } from "../../model/mdev/idxd/encode.ts";
import { OPERATION } from "../../model/mdev/idxd/mmio.ts";
import type { Call, Place } from "../../model/program.ts";
import { type Dice, oneIn, pick } from "./dice.ts";

/** Few, so that what one touches another comes to. */
const PAGES = 6;

const somewhere = (dice: Dice): bigint => {
  if (oneIn(dice, 16)) return pick(dice, [MEMORY.userReadonly, MEMORY.hole, MEMORY.user + BigInt(MEMORY.userSize - 8)]);
  return MEMORY.user + BigInt(dice.roll(PAGES) * PAGE + pick(dice, [0, 64, PAGE - 8]));
};

function descriptor(dice: Dice): number[] {
  const operation = pick(dice, [OPERATION.MEMMOVE, OPERATION.MEMMOVE, OPERATION.MEMFILL, OPERATION.NOOP, 1, 0x20]);
  const flags =
    pick(dice, [0, FLAG.BLOCK_ON_FAULT]) | pick(dice, [0, FLAG.RECORD_VALID, FLAG.RECORD_VALID | FLAG.RECORD]);
  const record = MEMORY.user + BigInt(dice.roll(PAGES) * PAGE + pick(dice, [0, 32, 32, 64, 8]));
  const [source, destination, size] = [somewhere(dice), somewhere(dice), pick(dice, [8, 8, 16, 100, 0])];
  return encode({ operation, flags, record, source, destination, size });
}

/** Something about a queue that is open: mostly a descriptor or two, and what has come of one. */
export function ofProcessQueue(dice: Dice, fd: string | -1, place: Place | undefined): Call {
  const access = { at: MEMORY.user, offset: dice.roll(PAGES) * PAGE + pick(dice, [0, 8, 32, 40]), width: 8 } as const;
  if (oneIn(dice, 5)) return { op: "store", ...access, value: 1 + dice.roll(99) };
  if (oneIn(dice, 3)) return { op: "load", ...access };
  const bytes = oneIn(dice, 3) ? [...descriptor(dice), ...descriptor(dice)] : descriptor(dice);
  const count = oneIn(dice, 12) ? pick(dice, [0, 8, 100]) : bytes.length;
  const where = place === undefined ? { bytes: bytes.slice(0, count) } : { place };
  return { op: "write", fd, count: place === undefined ? count : DESCRIPTOR, ...where };
}
