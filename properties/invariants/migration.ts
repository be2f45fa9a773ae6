/** Invariants over migration: what a device's state and its sessions have to do with each other. */
import { MttyCard } from "../../model/mdev/mtty.ts";
import type { MttyDataFile } from "../../model/mdev/mtty-session.ts";
import { isPreCopy, STATE } from "../../model/vfio/migration-states.ts";
import type { StateInvariant } from "./invariant.ts";

export const sessionByState: StateInvariant = {
  kind: "state",
  id: "session-by-state",
  title: "a device has a data session exactly in the states that save or resume, and the session is alive",
  broken({ devices }) {
    for (const { name, ops } of devices) {
      if (!(ops instanceof MttyCard)) continue;
      const { state, savingFile, resumingFile } = ops.state;
      const saves = state === STATE.STOP_COPY || isPreCopy(state);
      if ((savingFile !== null) !== saves || (resumingFile !== null) !== (state === STATE.RESUMING)) {
        return `${name} is in state ${state} with ${sessions(savingFile, resumingFile)}`;
      }
      if (savingFile?.disabled || resumingFile?.disabled) return `${name} has a session that has ended`;
    }
    return undefined;
  },
};

function sessions(saving: MttyDataFile | null, resuming: MttyDataFile | null): string {
  const open = [saving ? ["a session to save"] : [], resuming ? ["a session to resume"] : []].flat();
  return open.length > 0 ? open.join(" and ") : "no session";
}
