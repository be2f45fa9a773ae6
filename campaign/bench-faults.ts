/** Faults: for each, how many programs a campaign without a hint takes until it is caught, over some seeds, and what tells of it. */
import { type Fault, isHistorical } from "../scenarios/faults/fault.ts";
import { type Catch, hunt, toldBy } from "./hunt.ts";

/** How faults are hunted. */
export interface FaultBench {
  /** Hunts for each fault, with the seeds 1, 2, … */
  readonly hunts: number;
  /** Programs that a hunt may take. */
  readonly budget: number;
}

/** Several times the programs that the fault which is met most seldom was seen to take. */
export const FAULT_BENCH: FaultBench = { hunts: 10, budget: 20_000 };

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

/** Hunts faults, a line for each as it comes. Gives how many hunts came to nothing. */
export function* benchFaults(faults: readonly Fault[], bench: FaultBench = FAULT_BENCH): Generator<string, number> {
  const { hunts, budget } = bench;
  const width = Math.max(...faults.map(({ id }) => id.length));
  yield `Programs until a fault is caught: the median of ${hunts} seeds (least–most), what tells of it, [where]`;
  let missed = 0;
  for (const fault of faults) {
    const row = benchFault(fault, bench);
    missed += row.hunts - row.caught;
    yield printRow(row, width);
  }
  const all = hunts * faults.length;
  const historical = faults.filter(isHistorical).length;
  yield `${faults.length} faults, ${historical} of them from the history of Linux: ${all - missed} of ${all} hunts of at most ${budget} programs caught theirs`;
  return missed;
}

/** Hunts one fault. */
export function benchFault(fault: Fault, { hunts, budget }: FaultBench = FAULT_BENCH): FaultRow {
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

/** `width` is that of the longest id. */
function printRow({ fault, caught, hunts, programs, told, by }: FaultRow, width: number): string {
  const id = fault.id.padEnd(width);
  if (programs === null) return `${id}  NOT CAUGHT`;
  const how = `${`${programs.median}`.padStart(5)} programs (${programs.least}–${programs.most})`;
  const missed = caught === hunts ? "" : `  NOT CAUGHT with ${hunts - caught} of ${hunts} seeds`;
  return `${id}  ${how.padEnd(28)}  ${told.join(", ")}  [${by.join(", ")}]${missed}`;
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
