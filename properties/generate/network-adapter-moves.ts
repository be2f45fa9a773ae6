/** What is done with the interrupt registers of QEMU's network adapter. */
import { E1000e } from "../../model/pci/e1000e.ts";
import type { RegisterMove } from "./bar-transfers.ts";
import { type Dice, oneIn, pick } from "./dice.ts";

const { CAUSE, CAUSE_SET, MASK_SET, MASK_CLEAR, VECTORS } = E1000e.REGISTER;
const { ALL, CAUSES } = E1000e;

const fourBytes = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);

/** A store of four bytes. */
export const adapterStore = (at: number, value: number) => ({ at, count: 4, bytes: fourBytes(value) }) as const;

/** One cause or two, seldom all or none. */
export function someCauses(dice: Dice): number {
  const one = (): number => 2 ** pick(dice, CAUSES);
  if (oneIn(dice, 12)) return oneIn(dice, 2) ? 0 : CAUSES.reduce((sum, bit) => sum + 2 ** bit, 0);
  return oneIn(dice, 4) ? one() | one() : one();
}

/** A vector for each cause, mostly one of its own. */
export function someVectors(dice: Dice): number {
  const shift = dice.roll(CAUSES.length);
  const entry = (_: number, place: number): number => {
    if (oneIn(dice, 12)) return dice.roll(16);
    return 8 | ((place + shift) % CAUSES.length);
  };
  return CAUSES.map(entry).reduceRight((sum, each) => sum * 16 + each, 0);
}

/** An interrupt is asked for, allowed or taken back, or the registers are cleared, as they must be before anything else. */
export function adapterMove(dice: Dice): RegisterMove {
  if (oneIn(dice, 3)) return adapterStore(CAUSE_SET, someCauses(dice));
  if (oneIn(dice, 4)) return { at: CAUSE, count: pick(dice, [4, 4, 8, 1]) };
  switch (dice.roll(6)) {
    case 0:
      return adapterStore(MASK_SET, someCauses(dice));
    case 1:
      return adapterStore(MASK_CLEAR, ALL);
    case 2:
      return adapterStore(MASK_CLEAR, someCauses(dice));
    case 3:
      return adapterStore(CAUSE, ALL);
    case 4:
      return adapterStore(CAUSE, someCauses(dice));
    default:
      return adapterStore(VECTORS, someVectors(dice));
  }
}
