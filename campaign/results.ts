/**
 * Results: what a campaign did and found, as data. Everything that a report shows is in here, and so is everything that
 * is needed to judge the stored runs again.
 */
import type { Program } from "../model/program.ts";
import type { Topology } from "../model/topology.ts";
import type { TargetAbout } from "../targets/target.ts";
import { missedClauses } from "./exercised.ts";

/** Why a finding is one. */
export type FindingKind =
  /** the kernel answered other than the model */
  | "difference"
  /** an invariant did not hold */
  | "invariant"
  /** the kernel's log had a warning, a lockdep or KASAN report, … */
  | "log"
  /** something was left once the program had ended */
  | "leak"
  /** a call did not come back */
  | "hang"
  /** the system under test was lost */
  | "died";

/** One call of a listing, as strace would print it. */
export interface ListedCall {
  /** `ioctl(group0, VFIO_GROUP_SET_CONTAINER, {fd=container0})` */
  readonly call: string;
  /** `0`, `-1 EINVAL`, `3` with what the struct brought: `0 {flags=VIABLE}` */
  readonly observed: string | null;
  /** What was expected, where it is something else. */
  readonly expected: string | null;
  /** The clause that decided what was expected, for refusals. */
  readonly clause: string | null;
}

export interface Finding {
  /** Stable over runs that find the same: property, kind and what it is about. */
  readonly id: string;
  readonly kind: FindingKind;
  /** What is wrong, one sentence. */
  readonly what: string;
  /** Clause or invariant that is broken, where one is known. */
  readonly rule: string | null;
  /** Property or scenario that found it. */
  readonly by: string;
  /** To have the same program generated again: fast-check's seed, and the run's number. */
  readonly seed: number;
  readonly path: string;
  /** The smallest program that showed it. */
  readonly program: Program;
  /** Calls of the program that was found first. */
  readonly originalCalls: number;
  /** Index of the call that shows it. */
  readonly at: number;
  readonly listing: readonly ListedCall[];
  /** The kernel's log while the program ran. */
  readonly log: string;
  /** Whether it showed again when the program was run alone. */
  readonly reproduced: boolean;
  /** How many programs of the campaign showed it. */
  readonly times: number;
}

export interface GoalResult {
  readonly id: string;
  readonly title: string;
  readonly reached: number;
  /** False where this kernel or machine has no way to reach it, and where programs that were made shorter did not come to it. */
  readonly attainable: boolean;
}

export interface PropertyResult {
  readonly id: string;
  readonly title: string;
  readonly kind: "property" | "scenario";
  readonly programs: number;
  readonly calls: number;
  readonly seconds: number;
  readonly goals: readonly GoalResult[];
  readonly findings: readonly Finding[];
  /** Known deviations that were met, by id, with the number of programs. */
  readonly known: readonly { readonly id: string; readonly programs: number }[];
  /** Why programs, or the rest of them, could not be compared, with their number. */
  readonly notComparable: readonly { readonly why: string; readonly programs: number }[];
}

export interface ClauseResult {
  readonly id: string;
  /** Calls that the clause decided and on which the target agreed. */
  readonly seen: number;
}

/** Exit codes of the command line. */
export const EXIT_CODE = { conforms: 0, differs: 1, tooLittle: 2, broken: 3 } as const;
export type ExitCode = (typeof EXIT_CODE)[keyof typeof EXIT_CODE];

export const RESULTS_FORMAT = "vfio-conformance/results";
export const RESULTS_VERSION = 1;

export interface Results {
  readonly format: typeof RESULTS_FORMAT;
  readonly version: typeof RESULTS_VERSION;
  /** Version of the suite. */
  readonly suite: string;
  /** ISO 8601. */
  readonly began: string;
  readonly seconds: number;
  readonly target: TargetAbout;
  /** The machine as it really was: what device names in programs stand for. */
  readonly topology: Topology;
  readonly seed: number;
  readonly properties: readonly PropertyResult[];
  readonly clauses: readonly ClauseResult[];
  /** True when the campaign was ended before its budget was used up: Ctrl-C, or the target was lost for good. */
  readonly interrupted: string | null;
}

/** The exit code that results stand for. */
export function exitCodeOf(results: Results): ExitCode {
  if (results.properties.some((property) => property.findings.length > 0)) return EXIT_CODE.differs;
  if (results.interrupted !== null) return EXIT_CODE.broken;
  const missed = results.properties.some((property) =>
    property.goals.some((goal) => goal.attainable && goal.reached === 0),
  );
  return missed || missedClauses(results).length > 0 || results.properties.every(({ programs }) => programs === 0)
    ? EXIT_CODE.tooLittle
    : EXIT_CODE.conforms;
}
