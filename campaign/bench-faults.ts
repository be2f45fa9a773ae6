/** Faults: for each, how many programs a campaign without a hint takes until it is caught, over some seeds, and what tells of it. */
import type { Fault } from "../scenarios/faults/fault.ts";
import { type Catch, hunt, toldBy } from "./hunt.ts";

/** Programs that a hunt may take: some seconds of a campaign on the model. */
export const HUNT_BUDGET = 3000;

/** What the hunts for one fault came to. */
export interface FaultRow {
  readonly fault: Fault;
  /** Hunts that caught it, and all of them. */
  readonly caught: number;
  readonly hunts: number;
  /** Programs until it was caught; null where no hunt caught it. */
  readonly programs: { readonly median: number; readonly least: number; readonly most: number } | null;
  /** What told of it, the most frequent first: an invariant, or `difference`. */
  readonly told: readonly string[];
  /** Ids of the properties whose programs did, the most frequent first. */
  readonly by: readonly string[];
}

/** Hunts a fault with the seeds 1, 2, … */
export function benchFault(fault: Fault, hunts: number, budget: number = HUNT_BUDGET): FaultRow {
  const catches: Catch[] = [];
  for (let seed = 1; seed <= hunts; seed++) {
    const caught = hunt({ fault, seed, budget });
    if (caught) catches.push(caught);
  }
  return {
    fault,
    caught: catches.length,
    hunts,
    programs: spread(catches.map(({ programs }) => programs)),
    told: byFrequency(catches.map(({ problem }) => toldBy(problem))),
    by: byFrequency(catches.map(({ property }) => property)),
  };
}

/** A row as a line; `width` is that of the longest id. */
export function printFaultRow({ fault, caught, hunts, programs, told, by }: FaultRow, width: number): string {
  const how =
    programs === null
      ? `not caught in ${HUNT_BUDGET} programs`
      : `${`${programs.median}`.padStart(5)} programs (${programs.least}–${programs.most})`;
  const missed = caught === hunts ? "" : `  NOT CAUGHT by ${hunts - caught} of ${hunts} seeds`;
  return `${fault.id.padEnd(width)}  ${how.padEnd(28)}  ${told.join(", ")}  [${by.join(", ")}]${missed}`;
}

function spread(values: readonly number[]): FaultRow["programs"] {
  const sorted = values.toSorted((a, b) => a - b);
  const [least, most] = [sorted[0], sorted.at(-1)];
  const [below, above] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.floor(sorted.length / 2)]];
  if (least === undefined || most === undefined || below === undefined || above === undefined) return null;
  return { median: (below + above) / 2, least, most };
}

/** Each once, the most frequent first. */
function byFrequency(values: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].toSorted(([, a], [, b]) => b - a).map(([value]) => value);
}
