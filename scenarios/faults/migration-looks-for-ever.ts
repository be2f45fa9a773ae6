/** The way that a migration state machine forbids is looked for without end. */
import { Blocked } from "../../model/kernel/operation.ts";
import { isPreCopy, STATE } from "../../model/vfio/migration-states.ts";
import type { Fault } from "./fault.ts";

export const migrationLooksForEver: Fault = {
  id: "migration-looks-for-ever",
  title: "asking a device in STOP_COPY for PRE_COPY does not come back",
  cites: "a26b499b757c vfio: prevent infinite loop in vfio_mig_get_next_state() on blocked arc (7.2)",
  breaks: "hang",
  shownBy: "migration",
  apply(k) {
    const right = k.migration.nextState;
    k.migration = {
      ...k.migration,
      nextState(flags, from, to) {
        if (from === STATE.STOP_COPY && isPreCopy(to)) throw new Blocked("a way that there is not");
        return right(flags, from, to);
      },
    };
  },
};
