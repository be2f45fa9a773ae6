/** A finding as C: with what the model expects of its program on this kernel. */
import { deviationsOf } from "../campaign/deviations/all.ts";
import type { Finding, ListedCall, Results } from "../campaign/results.ts";
import { rule as allocRule } from "../model/kernel/alloc.ts";
import { type Failure, ownChoice } from "../model/kernel/kernel.ts";
import type { Override } from "../model/machine.ts";
import type { Call } from "../model/program.ts";
import { modelExpectations } from "./c/expectations.ts";
import { type CProgramAbout, type Expectation, toC, toKselftest } from "./c-program.ts";
import { profileOf } from "./profile-of.ts";
import { ruleText } from "./verdict.ts";

/** What is right for each call of a finding's program; null where it is not known. */
export type ExpectationsOf = (finding: Finding) => readonly (Expectation | null)[];

/** Takes the kernel's known deviations to be there, so that only what is new differs. */
export function expectationsFrom({ target, topology }: Pick<Results, "target" | "topology">): ExpectationsOf {
  const profile = profileOf(target);
  const known = target.kind === "model" ? [] : deviationsOf(profile);
  const overrides = known.map(
    (deviation): Override => ({
      id: deviation.id,
      apply: (k) => deviation.apply(k, () => {}),
    }),
  );
  return ({ program, listing }) => {
    const chooser = { ...ownChoice, failure: (call: Call) => failureListed(listing[program.calls.indexOf(call)]) };
    return modelExpectations(program, { topology, profile, overrides, chooser });
  };
}

/** What became of a call that asked for a failure, where the finding was made; undefined where that was not seen. */
function failureListed(line: ListedCall | undefined): Failure | undefined {
  const observed = line?.observed;
  if (observed == null) return undefined;
  const failed = observed.endsWith("(INJECTED)");
  return { failed, refusedBy: failed && observed.startsWith("-1 ENOMEM") ? allocRule["ALLOC-1"] : null };
}

/** The C source of a finding. */
export function reproducerC(finding: Finding, { topology, target }: Results, expectations: ExpectationsOf): string {
  return toC(finding.program, topology, expectations(finding), about(finding, target.name));
}

/** The same as a case of the kernel's selftest harness. */
export function reproducerKselftest(
  finding: Finding,
  { topology, target }: Results,
  expectations: ExpectationsOf,
): string {
  const described = { ...about(finding, target.name), name: finding.id };
  return toKselftest(finding.program, topology, expectations(finding), described);
}

function about({ what, rule, kind, at }: Finding, target: string): CProgramAbout {
  const text = rule === null ? undefined : ruleText(rule);
  const notes = [`Found on ${target}, at call ${at}.`];
  if (kind === "log") notes.push("What is wrong shows in the kernel's log, not in what the calls return.");
  if (kind === "leak") notes.push("What is wrong shows after the program has ended: something of it stays behind.");
  if (kind === "died") notes.push("It took the system down where it was found. Run it on a machine that may be lost.");
  return { what, notes, ...(rule === null ? {} : { rule: text ? `${rule}: ${text.rule} (${text.source})` : rule }) };
}
