/**
 * The verdict: steps the model along with what a target was seen to do, and compares call by call.
 *
 * Where a kernel may choose (an id, a descriptor, an address) the model takes what the target took, if that is one of
 * the values allowed; so everything after is compared exactly, numbers and bytes.
 */
import { refusedForMemory } from "../model/kernel/alloc.ts";
import type { Clause } from "../model/kernel/clause.ts";
import type { File } from "../model/kernel/file.ts";
import type { ChoiceSite, Chooser, Failure } from "../model/kernel/kernel.ts";
import { Blocked, Unmodelled } from "../model/kernel/operation.ts";
import { type Answer, Machine } from "../model/machine.ts";
import type { Profile } from "../model/profile.ts";
import type { Call, Outcome, Program } from "../model/program.ts";
import type { Topology } from "../model/topology.ts";
import type { RecordedDeviation } from "./deviation-file.ts";
import { type Deviation, Ruined } from "./deviations/deviation.ts";

/** Told of every call that agreed, with what the model said of it. */
export interface AgreementObserver {
  agreed(call: Call, answer: Answer, kept: readonly Clause[]): void;
}

/** What the model expected of a call. */
export interface Expected extends Outcome {
  /** The clause that was to refuse the call. */
  readonly clause: string | null;
}

type Part = "result" | "bytes" | "pointed" | "text";

export type Verdict =
  | { readonly kind: "agrees"; readonly known: readonly string[]; readonly judged: number }
  | {
      readonly kind: "differs";
      /** Index of the first call that differs. */
      readonly at: number;
      readonly expected: Expected;
      readonly observed: Outcome;
      /** Which part differs: the result, the bytes of the struct or of what it points to from an offset on, or the text. */
      readonly part: Part;
      readonly offset?: number;
      readonly known: readonly string[];
    }
  | {
      readonly kind: "not-comparable";
      readonly at: number;
      readonly why: string;
      readonly known: readonly string[];
      /** Whether a destructive deviation struck: the kernel is not to blame for what it does afterwards. */
      readonly ruined: boolean;
      /** Whether the call waits where it is right to: it does not come back in a program of one task. */
      readonly waits: boolean;
    };

/** Takes what the target took. */
class ObservingChooser implements Chooser {
  observed: Outcome | undefined;
  /** Calls that were refused after an allocation had failed, as they might have been without. */
  readonly doubtful: Call[] = [];
  readonly #kconfig: ReadonlySet<string>;
  readonly #asEver: ReadonlySet<Call>;

  constructor({ kconfig }: Profile, asEver: ReadonlySet<Call>) {
    this.#kconfig = kconfig;
    this.#asEver = asEver;
  }

  failure(call: Call, file: File | undefined): Failure | undefined {
    const { observed } = this;
    if (observed?.failed === undefined) return undefined;
    const { failed, ret } = observed;
    if (!failed || this.#asEver.has(call)) return { failed, refusedBy: null };
    const refusedBy = refusedForMemory(call, ret, file, this.#kconfig);
    if (refusedBy) this.doubtful.push(call);
    return { failed, refusedBy };
  }

  refuses({ code }: Clause): boolean {
    return this.observed?.ret === -code;
  }

  choose(site: ChoiceSite, own: bigint, allowed: (value: bigint) => boolean): bigint {
    const seen = this.#seen(site);
    return seen !== undefined && allowed(seen) ? seen : own;
  }

  #seen(site: ChoiceSite): bigint | undefined {
    const { observed } = this;
    if (!observed || observed.ret < 0) return undefined;
    if (site.at === "return") return BigInt(observed.ret);
    const { bytes } = observed;
    if (!bytes || site.offset + site.width > bytes.length) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return site.width === 8 ? view.getBigUint64(site.offset, true) : BigInt(view.getUint32(site.offset, true));
  }
}

export interface JudgeOptions {
  readonly topology: Topology;
  readonly profile: Profile;
  /** Ways in which this kernel is known to differ from what is right. */
  readonly deviations: readonly Deviation[];
  readonly observer?: AgreementObserver;
  /** Differences that the user has on record. */
  readonly recorded?: readonly RecordedDeviation[];
}

/** What the judge takes to be so of a run. */
interface Assumed {
  readonly deviations: readonly Deviation[];
  /** Calls that were refused for another reason than the allocation that failed. */
  readonly asEver: ReadonlySet<Call>;
}

/**
 * Judges a run. Known deviations are taken to be there; where one of them is not what the target shows, the run is judged
 * again without it, so that a kernel that has been mended agrees as well. The same with a call in which an allocation
 * failed: it is taken to be refused for that, and where later calls show otherwise, for what is wrong with it anyway.
 */
export function judge(program: Program, outcomes: readonly Outcome[], options: JudgeOptions): Verdict {
  const { deviations } = options;
  const asEver = new Set<Call>();
  const sure = deviations.filter(({ perhaps }) => !perhaps);
  const verdict = judgeAssuming(program, outcomes, options, { deviations: sure, asEver });
  if (verdict.kind !== "differs" || sure.length === deviations.length) return verdict;
  const again = judgeAssuming(program, outcomes, options, { deviations, asEver });
  return again.kind === "differs" ? verdict : again;
}

function judgeAssuming(
  program: Program,
  outcomes: readonly Outcome[],
  options: JudgeOptions,
  assumed: Assumed,
): Verdict {
  const { verdict, doubtful } = judgeWith(program, outcomes, options, assumed);
  if (verdict.kind !== "differs") return verdict;
  for (const absent of verdict.known) {
    const deviations = assumed.deviations.filter(({ id }) => id !== absent);
    const again = judgeAssuming(program, outcomes, options, { ...assumed, deviations });
    if (again.kind !== "differs") return again;
  }
  if (assumed.asEver.size > 0) return verdict;
  for (const call of doubtful) {
    const again = judgeAssuming(program, outcomes, options, { ...assumed, asEver: new Set([call]) });
    if (again.kind !== "differs") return again;
  }
  return verdict;
}

interface Judged {
  readonly verdict: Verdict;
  readonly doubtful: readonly Call[];
}

function judgeWith(
  program: Program,
  outcomes: readonly Outcome[],
  { topology, profile, observer }: JudgeOptions,
  { deviations, asEver }: Assumed,
): Judged {
  const chooser = new ObservingChooser(profile, asEver);
  const { doubtful } = chooser;
  const fired = new Set<string>();
  const overrides = deviations.map((deviation) => ({
    id: deviation.id,
    apply: (k: Machine["k"]) => deviation.apply(k, () => fired.add(deviation.id)),
  }));
  const machine = new Machine({ topology, profile, chooser, overrides });
  let at = 0;
  for (const call of program.calls) {
    const observed = outcomes[at];
    if (!observed) return { verdict: ending(machine, call, at, fired), doubtful };
    chooser.observed = observed;
    let answer: Answer;
    try {
      answer = machine.step(call);
    } catch (thrown) {
      return { verdict: notComparable(thrown, at, fired), doubtful };
    }
    const difference = compare(answer, machine, observed);
    if (difference) {
      const expected = expectedOf(answer, machine);
      return { verdict: { kind: "differs", at, expected, observed, ...difference, known: [...fired] }, doubtful };
    }
    observer?.agreed(call, answer, machine.k.kept);
    at++;
  }
  return { verdict: { kind: "agrees", known: [...fired], judged: at }, doubtful };
}

/** The target gave no more outcomes: by a deviation that strikes in the next call, by a call that waits, or otherwise. */
function ending(machine: Machine, next: Call, at: number, fired: ReadonlySet<string>): Verdict {
  try {
    machine.step(next);
  } catch (thrown) {
    if (thrown instanceof Ruined || thrown instanceof Blocked) return notComparable(thrown, at, fired);
    if (!(thrown instanceof Unmodelled)) throw thrown;
  }
  return { kind: "agrees", known: [...fired], judged: at };
}

/** @throws what was thrown, where it does not mean that the model has no answer */
function notComparable(thrown: unknown, at: number, fired: ReadonlySet<string>): Verdict {
  const known = [...fired];
  if (thrown instanceof Ruined) {
    const why = `the model does not cover ${thrown.what}`;
    return { kind: "not-comparable", at, why, known: [...known, thrown.by], ruined: true, waits: false };
  }
  if (thrown instanceof Blocked) {
    return { kind: "not-comparable", at, why: `it waits for ${thrown.on}`, known, ruined: false, waits: true };
  }
  if (thrown instanceof Unmodelled) {
    return {
      kind: "not-comparable",
      at,
      why: `the model does not cover ${thrown.what}`,
      known,
      ruined: false,
      waits: false,
    };
  }
  throw thrown;
}

function compare(
  answer: Answer,
  machine: Machine,
  observed: Outcome,
): { readonly part: Part; readonly offset?: number } | undefined {
  if (answer.ret !== observed.ret) return { part: "result" };
  const { bytes, pointed } = observed;
  if (bytes && answer.length > 0) {
    const offset = firstDifference(machine.block, bytes, Math.min(answer.length, machine.definedUpTo));
    if (offset !== undefined) return { part: "bytes", offset };
  }
  for (let i = 0; i < answer.pointed.length; i++) {
    const block = answer.pointed[i];
    const seen = pointed?.[i];
    if (!block || !seen) continue;
    const offset = firstDifference(block.bytes, seen, Math.min(block.length, block.definedUpTo));
    if (offset !== undefined) return { part: "pointed", offset };
  }
  if (answer.text !== undefined && answer.text !== observed.text) return { part: "text" };
  return undefined;
}

/** Offset of the first byte that differs, of so many at the most. */
function firstDifference(expected: Uint8Array, observed: Uint8Array, length: number): number | undefined {
  const end = Math.min(length, observed.length);
  for (let offset = 0; offset < end; offset++) if (expected[offset] !== observed[offset]) return offset;
  return undefined;
}

function expectedOf(answer: Answer, machine: Machine): Expected {
  return { ...machine.outcome(), clause: answer.refusedBy?.id ?? null };
}
