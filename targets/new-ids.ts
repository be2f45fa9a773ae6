/** Ids that a program added to drivers of the PCI bus: they are taken away again, and looked for. */
import { undoing } from "../model/driver-core/new-id.ts";
import type { Program } from "../model/program.ts";
import type { Topology } from "../model/topology.ts";
import type { Lowering } from "./lower/lower.ts";
import { attributePath } from "./lower/paths.ts";
import type { Shape } from "./lower/shape.ts";

/** What takes the ids away: `removals` may find that the program did so itself; `probes` must each find nothing more. */
export interface RemovedIds {
  readonly removals: readonly Shape[];
  readonly probes: readonly { readonly shape: Shape; readonly what: string }[];
}

/** Removes as many ids as the program may have added; nobody lists them, so that one more try tells whether any is left. */
export function removeIds(lowering: Lowering, { calls }: Program, topology: Topology): RemovedIds {
  const removals: Shape[] = [];
  const added = new Map<string, () => Shape>();
  for (const call of calls) {
    const id = undoing(call);
    if (!id) continue;
    const { driver, text } = id;
    const remove = (): Shape => lowering.sysfsWrite(attributePath(topology, { kind: "remove_id", driver }), text);
    removals.push(remove());
    added.set(`${driver} still has the id ${text}.`, remove);
  }
  return { removals, probes: [...added].map(([what, remove]) => ({ shape: remove(), what })) };
}
