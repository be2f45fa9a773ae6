/** What runs have reached: clauses by how often, and the goals that a property must meet. */
import type { Clause } from "../model/kernel/clause.ts";
import { allClauses } from "../model/kernel/clause.ts";
import type { Answer } from "../model/machine.ts";
import type { Call, Outcome } from "../model/program.ts";

/** What of an outcome, or of the model's answer, goals look at. */
export interface Seen extends Pick<Outcome, "ret"> {
  readonly failed?: boolean | undefined;
}

/** Something that a campaign must have seen at least once to count as one. */
export interface Goal {
  readonly id: string;
  readonly title: string;
  reached(call: Call, outcome: Seen): boolean;
  /** The clause that is seen where the goal is reached, if that is how it is told. */
  readonly clause?: Clause;
  /** Whether a kernel of this version and Kconfig can reach it at all, and whether that takes an IOMMU. */
  readonly needs?: {
    readonly since?: `${number}.${number}`;
    readonly kconfig?: readonly string[];
    readonly iommu?: true;
  };
}

/** Counters for one campaign. */
export class Coverage {
  readonly #clauses = new Uint32Array(allClauses().length);
  readonly #goals = new Map<string, number>();
  calls = 0;
  programs = 0;

  /** Notes what the model said of a call. */
  note(answer: Answer, kept: readonly Clause[]): void {
    this.calls++;
    if (answer.refusedBy) this.#add(answer.refusedBy);
    for (const clause of kept) this.#add(clause);
  }

  #add({ index }: Clause): void {
    this.#clauses[index] = (this.#clauses[index] ?? 0) + 1;
  }

  goal(id: string): void {
    this.#goals.set(id, (this.#goals.get(id) ?? 0) + 1);
  }

  /** How often a clause decided a call. */
  of(clause: Clause): number {
    return this.#clauses[clause.index] ?? 0;
  }

  /** How often a goal was reached. */
  goals({ id, clause }: Pick<Goal, "id" | "clause">): number {
    return clause ? this.of(clause) : (this.#goals.get(id) ?? 0);
  }

  /** Adds another campaign's counts to these. */
  add(other: Coverage): void {
    this.calls += other.calls;
    this.programs += other.programs;
    for (const [index, count] of other.#clauses.entries()) this.#clauses[index] = (this.#clauses[index] ?? 0) + count;
    for (const [id, count] of other.#goals) this.#goals.set(id, (this.#goals.get(id) ?? 0) + count);
  }
}
