/** What a campaign is asked for, and how it tells of itself. */
import type { Property } from "../properties/property.ts";
import type { Target } from "../targets/target.ts";
import type { RecordedDeviation } from "./deviation-file.ts";
import type { Deviation } from "./deviations/deviation.ts";

/** How much a campaign may spend; the first that is used up ends it. */
export interface Budget {
  /** Programs in all. */
  readonly runs?: number;
  readonly seconds?: number;
}

/** Told how a campaign gets on. */
export interface CampaignProgress {
  /** A property has begun, got on, or ended. */
  property(id: string, state: { readonly programs: number; readonly calls: number; readonly findings: number }): void;
  /** A problem was found and is being shrunk. */
  found(id: string, what: string): void;
}

export interface CampaignOptions {
  readonly target: Target;
  readonly properties: readonly Property[];
  readonly seed: number;
  readonly budget: Budget;
  readonly progress?: CampaignProgress;
  readonly signal?: AbortSignal;
  /** Known deviations to reckon with; those of the target's kernel unless given. */
  readonly deviations?: readonly Deviation[];
  /** Differences that the user has on record. */
  readonly recorded?: readonly RecordedDeviation[];
}
