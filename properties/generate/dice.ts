/** Randomness for generators: a few throws on top of one source of integers. */

export interface Dice {
  /** An integer in [0, sides). */
  roll(sides: number): number;
}

/** True once in `sides` throws. */
export const oneIn = (dice: Dice, sides: number): boolean => dice.roll(sides) === 0;

/** One of the items; the list must not be empty. */
export function pick<T>(dice: Dice, items: readonly T[]): T {
  const item = items[dice.roll(items.length)];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}

/** The same so many times, to be picked the more often. */
export function times<T>(count: number, item: T): T[] {
  return Array.from({ length: count }, () => item);
}
