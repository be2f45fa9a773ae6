/** Invariants over migration: what a device's state and its sessions have to do with each other. */
import { MttyCard } from "../../model/mdev/mtty.ts";
import type { VfioDeviceOps } from "../../model/vfio/device.ts";
import { isPreCopy, STATE } from "../../model/vfio/migration-states.ts";
import { DriverMigration } from "../../model/vfio-pci/drivers/migration.ts";
import type { StateInvariant } from "./invariant.ts";

export const sessionByState: StateInvariant = {
  kind: "state",
  id: "session-by-state",
  title: "a device has a data session exactly in the states that save or resume, and the session is alive",
  broken({ devices }) {
    for (const { name, ops } of devices) {
      const sessions = sessionsOf(ops);
      if (!sessions) continue;
      const { state, saving, resuming } = sessions;
      const saves = state === STATE.STOP_COPY || isPreCopy(state);
      if ((saving !== null) !== saves || (resuming !== null) !== (state === STATE.RESUMING)) {
        return `${name} is in state ${state} with ${told(saving, resuming)}`;
      }
      // A stream that can't be loaded spoils its session, which stays until the device leaves RESUMING.
      if (saving?.disabled || (resuming?.disabled && !resuming.spoiled)) return `${name} has a session that has ended`;
    }
    return undefined;
  },
};

/** A session as far as this is about it. */
interface Session {
  readonly disabled: boolean;
  readonly spoiled?: boolean;
}

/** The migration state of a device that has one, and its sessions. */
function sessionsOf(
  ops: VfioDeviceOps,
): { readonly state: number; readonly saving: Session | null; readonly resuming: Session | null } | null {
  if (ops instanceof MttyCard) {
    return { state: ops.state.state, saving: ops.state.savingFile, resuming: ops.state.resumingFile };
  }
  return ops.migration instanceof DriverMigration ? ops.migration : null;
}

function told(saving: Session | null, resuming: Session | null): string {
  const open = [saving ? ["a session to save"] : [], resuming ? ["a session to resume"] : []].flat();
  return open.length > 0 ? open.join(" and ") : "no session";
}
