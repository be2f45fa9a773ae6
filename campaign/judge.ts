/**
 * The verdict: steps the model along with what a target was seen to do, and compares call by call.
 *
 * Where a kernel may choose (an id, a descriptor, an address) the model takes what the target took, if that is one of
 * the values allowed; so everything after is compared exactly, numbers and bytes.
 */
import type { Clause } from "../model/kernel/clause.ts";
import type { ChoiceSite, Chooser } from "../model/kernel/kernel.ts";
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
    };

/** Takes what the target took. */
class ObservingChooser implements Chooser {
  observed: Outcome | undefined;

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

/**
 * Judges a run. Known deviations are taken to be there; where one of them is not what the target shows, the run is judged
 * again without it, so that a kernel that has been mended agrees as well.
 */
export function judge(program: Program, outcomes: readonly Outcome[], options: JudgeOptions): Verdict {
  const verdict = judgeWith(program, outcomes, options, options.deviations);
  if (verdict.kind !== "differs" || verdict.known.length === 0) return verdict;
  for (const absent of verdict.known) {
    const others = options.deviations.filter(({ id }) => id !== absent);
    const again = judge(program, outcomes, { ...options, deviations: others });
    if (again.kind !== "differs") return again;
  }
  return verdict;
}

function judgeWith(
  program: Program,
  outcomes: readonly Outcome[],
  { topology, profile, observer }: JudgeOptions,
  deviations: readonly Deviation[],
): Verdict {
  const chooser = new ObservingChooser();
  const fired = new Set<string>();
  const overrides = deviations.map((deviation) => ({
    id: deviation.id,
    apply: (k: Machine["k"]) => deviation.apply(k, () => fired.add(deviation.id)),
  }));
  const machine = new Machine({ topology, profile, chooser, overrides });
  let at = 0;
  for (const call of program.calls) {
    const observed = outcomes[at];
    if (!observed) return ending(machine, call, at, fired);
    chooser.observed = observed;
    let answer: Answer;
    try {
      answer = machine.step(call);
    } catch (thrown) {
      return notComparable(thrown, at, fired);
    }
    const difference = compare(answer, machine, observed);
    if (difference) {
      return { kind: "differs", at, expected: expectedOf(answer, machine), observed, ...difference, known: [...fired] };
    }
    observer?.agreed(call, answer, machine.k.kept);
    at++;
  }
  return { kind: "agrees", known: [...fired], judged: at };
}

/** The target gave no more outcomes: by a deviation that strikes in the next call, or for another reason. */
function ending(machine: Machine, next: Call, at: number, fired: ReadonlySet<string>): Verdict {
  try {
    machine.step(next);
  } catch (thrown) {
    if (thrown instanceof Ruined) return notComparable(thrown, at, fired);
    if (!(thrown instanceof Blocked || thrown instanceof Unmodelled)) throw thrown;
  }
  return { kind: "agrees", known: [...fired], judged: at };
}

/** @throws what was thrown, where it does not mean that the model has no answer */
function notComparable(thrown: unknown, at: number, fired: ReadonlySet<string>): Verdict {
  const known = [...fired];
  if (thrown instanceof Ruined) {
    const why = `the model does not cover ${thrown.what}`;
    return { kind: "not-comparable", at, why, known: [...known, thrown.by], ruined: true };
  }
  if (thrown instanceof Blocked) {
    return { kind: "not-comparable", at, why: `it waits for ${thrown.on}`, known, ruined: false };
  }
  if (thrown instanceof Unmodelled) {
    return { kind: "not-comparable", at, why: `the model does not cover ${thrown.what}`, known, ruined: false };
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
