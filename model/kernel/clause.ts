/**
 * Clauses: the rules of the API, each with a stable id, its errno or effect, and where it is written.
 *
 * A table of clauses stands beside the code that keeps them. The code never spells an errno; it says which rule refuses:
 * `must(!file.group, rule["VFIO-CDEV-BIND-4"])`.
 */
import { type Errno, errnoCode } from "../uapi/errno.ts";
import { inRange, type Version } from "../uapi/version.ts";

/** How a clause can be seen from user space. */
export type Observable = "return" | "output" | "later-call" | "sysfs" | "internal";

/**
/**
 * A machine whose functions can have virtual ones, one without an IOMMU, one that is in no-IOMMU mode besides, one whose functions manage others, one with functions that have
 * drivers of their own, and one with an accelerator.
 */
export type MachineKind = "sriov" | "mock" | "noiommu" | "managed" | "variants" | "idxd";

/** What an author writes of a clause. */
export interface ClauseText {
  /** The rule in one line, in our own words. */
  readonly rule: string;
  /** The errno of a refusal, or the signal of an access. Left out for a clause about what a successful call does. */
  readonly errno?: Errno;
  /** Header, document or `file:function` the rule is read from. */
  readonly source: string;
  /** First and last kernel that the clause holds for. */
  readonly since?: Version;
  readonly until?: Version;
  /** Kconfig options that must be set, or with `!` before their name must not be. */
  readonly kconfig?: readonly string[];
  /** The machine that shows it, where one with an IOMMU does not. */
  readonly machine?: MachineKind;
  /**
   * Whether a refused call may have done a part of its work, because it is documented so or can't be otherwise; of an effect,
   * that calls have it whether they are refused or not.
   */
  readonly partial?: boolean;
  /** "return" unless told. */
  readonly observable?: Observable;
  /**
   * Why no run can show it: it takes what programs have no way to do, or a machine that the suite has not. Every clause
   * without one must be seen by a whole campaign on the model.
   */
  readonly unseen?: string;
}

/** A clause in use: its text, its id, and what the model needs at hand. */
export class Clause {
  readonly id: string;
  readonly text: ClauseText;
  /** Dense number, for counters. */
  readonly index: number;
  /** The errno's number; 0 when the clause does not refuse. */
  readonly code: number;
  readonly refusal: Refusal;

  constructor(id: string, text: ClauseText, index: number) {
    this.id = id;
    this.text = text;
    this.index = index;
    this.code = text.errno ? errnoCode(text.errno) : 0;
    this.refusal = new Refusal(this);
  }
}

/** Thrown to refuse a call. Made once per clause, so that refusing costs no stack trace. */
export class Refusal {
  readonly clause: Clause;
  constructor(clause: Clause) {
    this.clause = clause;
  }
}

const all: Clause[] = [];
const byId = new Map<string, Clause>();

/** Every clause defined so far, in the order of definition. */
export function allClauses(): readonly Clause[] {
  return all;
}

/** The clause of that id, or undefined. */
export function findClause(id: string): Clause | undefined {
  return byId.get(id);
}

/** Defines a table of clauses; ids are checked to be unique over the whole model. */
export function clauses<const T extends Readonly<Record<string, ClauseText>>>(
  table: T,
): { readonly [Id in keyof T]: Clause } {
  const made: Record<string, Clause> = {};
  for (const [id, text] of Object.entries(table)) {
    if (byId.has(id)) throw new Error(`clause ${id} is defined twice`);
    const clause = new Clause(id, text, all.length);
    all.push(clause);
    byId.set(id, clause);
    made[id] = clause;
  }
  return made as { readonly [Id in keyof T]: Clause };
}

/** Refuses the call by this clause unless the condition holds. */
export function must(holds: boolean, clause: Clause): asserts holds {
  if (!holds) throw clause.refusal;
}

/** Refuses the call by this clause. */
export function refuse(clause: Clause): never {
  throw clause.refusal;
}

/** Whether a clause holds for a kernel of this version number and Kconfig. */
export function clauseApplies({ text }: Clause, version: number, kconfig: ReadonlySet<string>): boolean {
  return inRange(version, text) && (text.kconfig?.every((option) => isSet(option, kconfig)) ?? true);
}

/** Whether a Kconfig is as `OPTION` or `!OPTION` asks. */
function isSet(option: string, kconfig: ReadonlySet<string>): boolean {
  return option.startsWith("!") ? !kconfig.has(option.slice(1)) : kconfig.has(option);
}
