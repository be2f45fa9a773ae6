/** Faults that are about one refusal: a kernel that does something else where a clause refuses. */
import { type Clause, Refusal } from "../../model/kernel/clause.ts";
import type { Operation } from "../../model/kernel/operation.ts";

/** A step with another answer where this clause refuses the call; all other refusals stay. */
export function whereRefused<Given extends readonly unknown[], Answer>(
  clause: Clause,
  right: (...given: Given) => Operation<Answer>,
  answer: (...given: Given) => Answer,
): (...given: Given) => Operation<Answer> {
  return function* (...given) {
    try {
      return yield* right(...given);
    } catch (refusal) {
      if (refusal instanceof Refusal && refusal.clause === clause) return answer(...given);
      throw refusal;
    }
  };
}
