/** A reset brings the device back to RUNNING and leaves the session that it had. */
import { STATE } from "../../model/vfio/migration-states.ts";
import type { Fault } from "./fault.ts";

export const migrationResetKeepsSession: Fault = {
  id: "migration-reset-keeps-session",
  title: "a device that is reset runs, and its data session goes on",
  cites: "8512ed256334 vfio/pds: Always clear the save/restore FDs on reset (6.9)",
  breaks: "session-by-state",
  shownBy: "migration",
  apply(k) {
    k.mtty = {
      ...k.mtty,
      *reset(kernel, migration) {
        using _ = yield* kernel.lock(migration.stateMutex);
        migration.state = STATE.RUNNING;
      },
    };
  },
};
