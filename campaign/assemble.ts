/** Puts what campaigns gathered together into results. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { allClauses, clauseApplies } from "../model/kernel/clause.ts";
import { versionNumber } from "../model/uapi/version.ts";
import { Coverage } from "../properties/coverage.ts";
import type { Target } from "../targets/target.ts";
import type { CampaignOutcome } from "./campaign.ts";
import { RESULTS_FORMAT, RESULTS_VERSION, type Results } from "./results.ts";

/** The suite's own version, from package.json. */
export function suiteVersion(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}

export interface Gathered {
  readonly target: Target;
  readonly seed: number;
  readonly began: Date;
  /** What was gathered on the target, in order. */
  readonly outcomes: readonly CampaignOutcome[];
}

/** The results of campaigns on one target. Clauses that do not apply to its kernel are left out. */
export function assemble({ target, seed, began, outcomes }: Gathered): Results {
  const coverage = new Coverage();
  for (const outcome of outcomes) coverage.add(outcome.coverage);
  const { profile } = target;
  const version = versionNumber(profile.version);
  return {
    format: RESULTS_FORMAT,
    version: RESULTS_VERSION,
    suite: suiteVersion(),
    began: began.toISOString(),
    seconds: (Date.now() - began.getTime()) / 1000,
    target: target.about,
    topology: target.topology,
    seed,
    properties: outcomes.flatMap(({ properties }) => properties),
    clauses: allClauses()
      .filter((clause) => clauseApplies(clause, version, profile.kconfig))
      .map((clause) => ({ id: clause.id, seen: coverage.of(clause) })),
    interrupted: outcomes.map(({ interrupted }) => interrupted).find((why) => why !== null) ?? null,
  };
}
