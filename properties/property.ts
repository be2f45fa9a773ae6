/** Properties: what is generated, what must hold of it, and what a campaign must have reached. Defined once, used by tests, command line and reports. */
import { MODEL_MACHINES } from "../model/model-machines.ts";
import type { Profile } from "../model/profile.ts";
import type { Topology } from "../model/topology.ts";
import type { Coverage, Goal } from "./coverage.ts";
import type { Focus } from "./generate/moves.ts";
import type { HistoryInvariant, StateInvariant } from "./invariants/invariant.ts";
import { Watch } from "./watch.ts";

export interface Property {
  readonly id: string;
  readonly title: string;
  /** Why the property says nothing of a machine, in one sentence; null where it applies. */
  whyNot(topology: Topology, profile: Profile): string | null;
  /** What programs dwell on, for a machine. */
  focus(topology: Topology): Focus;
  /** Calls of a program at the least, where programs differ in length; null where all are as long as they may be. */
  readonly shortest: number | null;
  /** Calls of a program at the most. */
  readonly length: number;
  readonly state: readonly StateInvariant[];
  readonly history: readonly HistoryInvariant[];
  readonly goals: readonly Goal[];
  /** Whether programs were made shorter than the property wants them: no goal is then asked for. */
  readonly cut: boolean;
  /** The share of a campaign's budget that it gets, against the others. */
  readonly share: number;
}

/** A watch with all that the property asks for. */
export function watchFor(property: Property, coverage: Coverage | null = null): Watch {
  return new Watch(property.state, property.history, coverage, property.goals);
}

/** The first of the model's machines that has what a property is about; throws where none has. */
export function topologyFor(property: Property, profile: Profile): Topology {
  const machine = MODEL_MACHINES.find(({ topology }) => property.whyNot(topology, profile) === null);
  if (!machine) throw new Error(`no machine of the model has what ${property.id} is about`);
  return machine.topology;
}
