/** The way that a migration state machine forbids is looked for without end. */
import type { CardMigration } from "../../model/mdev/mtty-migration.ts";
import { isPreCopy, STATE } from "../../model/vfio/migration-states.ts";
import { type Deviation, Ruined } from "./deviation.ts";

export const migrationBlockedArc: Deviation = {
  id: "migration-blocked-arc",
  title:
    "asking a device in STOP_COPY for PRE_COPY or PRE_COPY_P2P never comes back: the kernel looks for the way in an endless loop",
  clause: "VFIO-MIG-STATE-6",
  since: "6.2",
  until: "7.1",
  source: "drivers/vfio/vfio_main.c:vfio_mig_get_next_state",
  upstream: "a26b499b757c vfio: prevent infinite loop in vfio_mig_get_next_state() on blocked arc",
  evidence: "migration-blocked-arc",
  destructive: true,
  apply(k) {
    // Such a kernel's mtty stays in STOP_COPY when it is closed (mtty-state-survives-close).
    const left = new WeakSet<CardMigration>();
    const { forgetState, setState, reset } = k.mtty;
    k.mtty = {
      ...k.mtty,
      forgetState(migration) {
        if (migration.state === STATE.STOP_COPY) left.add(migration);
        forgetState(migration);
      },
      *setState(kernel, migration, wanted) {
        if (left.has(migration) && isPreCopy(wanted)) throw new Ruined("an endless loop", "migration-blocked-arc");
        left.delete(migration);
        return yield* setState(kernel, migration, wanted);
      },
      *reset(kernel, migration) {
        left.delete(migration);
        yield* reset(kernel, migration);
      },
    };
    const right = k.migration.nextState;
    k.migration = {
      ...k.migration,
      nextState(flags, from, to) {
        if (from === STATE.STOP_COPY && isPreCopy(to)) throw new Ruined("an endless loop", "migration-blocked-arc");
        return right(flags, from, to);
      },
    };
  },
};
