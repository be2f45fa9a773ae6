/** Migration of mtty: its state, and the arcs from one to another. Beside samples/vfio-mdev/mtty.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { File } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { Operation } from "../kernel/operation.ts";
import type { MigrationOps } from "../vfio/migration.ts";
import { isPreCopy, MIGRATION, type MigrationState, STATE } from "../vfio/migration-states.ts";
import type { MttyCard } from "./mtty.ts";
import { HEADER_SIZE, headerOf, MttyDataFile, portsOf, steps as sessionSteps } from "./mtty-session.ts";
import { isPortState, PORT_STATE_SIZE } from "./mtty-uart.ts";

const header = "include/uapi/linux/vfio.h";
const migrated = { since: "6.7" } as const;

export const rule = clauses({
  "MTTY-MIG-LOAD-1": {
    ...migrated,
    rule: "a stream that ended early is not loaded, and the device stays in RESUMING",
    errno: "EINVAL",
    source: `${header}:vfio_device_mig_state`,
  },
  "MTTY-MIG-LOAD-2": {
    ...migrated,
    rule: "a stream whose content no port can have is not loaded, and the device stays in RESUMING",
    errno: "EINVAL",
    source: `${header}:vfio_device_mig_state`,
  },
  "MTTY-MIG-LOAD-3": {
    ...migrated,
    rule: "the ports are as they were where the stream was saved",
    source: `${header}:vfio_device_mig_state`,
    observable: "later-call",
  },
});

const stateMutex = new LockClass("mdev_state->state_mutex");
const resetMutex = new LockClass("mdev_state->reset_mutex");

/** What of struct mdev_state is about migration. */
export class CardMigration implements MigrationOps {
  readonly flags = MIGRATION.STOP_COPY | MIGRATION.P2P | MIGRATION.PRE_COPY;
  precopyInfoV2 = false;
  readonly card: MttyCard;
  state: MigrationState = STATE.RUNNING;
  readonly stateMutex = new Lock(stateMutex);
  readonly resetMutex = new Lock(resetMutex);
  /** A reset came while the state was being changed: whoever changes it carries the reset out. */
  deferredReset = false;
  savingFile: MttyDataFile | null = null;
  resumingFile: MttyDataFile | null = null;

  constructor(card: MttyCard) {
    this.card = card;
  }

  setState(k: Kernel, wanted: MigrationState): Operation<File | null> {
    return k.mtty.setState(k, this, wanted);
  }

  *getState(k: Kernel): Operation<MigrationState> {
    using _ = yield* k.lock(this.stateMutex);
    const { state } = this;
    yield* k.mtty.settle(k, this);
    return state;
  }

  dataSize(): number {
    return HEADER_SIZE + this.card.portCount * PORT_STATE_SIZE;
  }
}

export const steps = {
  ...sessionSteps,

  /** mtty_set_state */
  *setState(k: Kernel, migration: CardMigration, wanted: MigrationState): Operation<File | null> {
    using _ = yield* k.lock(migration.stateMutex);
    let session: File | null = null;
    if (migration.state === wanted) k.migration.stays(k);
    try {
      while (migration.state !== wanted) {
        const next = k.migration.nextState(migration.flags, migration.state, wanted);
        session = yield* k.mtty.stepState(k, migration, next);
        k.migration.walked(k, migration.state, next);
        migration.state = next;
      }
    } finally {
      yield* k.mtty.settle(k, migration);
    }
    return session;
  },

  /** mtty_state_mutex_unlock, as far as it looks for a reset that came meanwhile. */
  *settle(k: Kernel, migration: CardMigration): Operation<void> {
    for (;;) {
      {
        using _ = yield* k.lock(migration.resetMutex);
        if (!migration.deferredReset) return;
        migration.deferredReset = false;
      }
      migration.state = STATE.RUNNING;
      yield* k.mtty.disableFiles(k, migration);
    }
  },

  /** mtty_reset */
  *reset(k: Kernel, migration: CardMigration): Operation<void> {
    {
      using _ = yield* k.lock(migration.resetMutex);
      migration.deferredReset = true;
      if (migration.stateMutex.holder) return;
    }
    using _ = yield* k.lock(migration.stateMutex);
    yield* k.mtty.settle(k, migration);
  },

  /** mtty_step_state: one arc, and the session that it begins. The card needs no stopping: it does nothing by itself. */
  *stepState(k: Kernel, migration: CardMigration, to: MigrationState): Operation<File | null> {
    const { state: from } = migration;
    if (from === STATE.RESUMING) {
      yield* k.mtty.loadState(k, migration);
      yield* k.mtty.disableFiles(k, migration);
      return null;
    }
    if (to === STATE.RESUMING) {
      migration.resumingFile = new MttyDataFile(migration.card, false);
      return shared(migration.resumingFile);
    }
    if (to === STATE.STOP_COPY) return yield* k.mtty.save(k, migration, true);
    if (isPreCopy(to)) return isPreCopy(from) ? null : yield* k.mtty.save(k, migration, false);
    // What leaves the saving group ends its session.
    if (from === STATE.STOP_COPY || isPreCopy(from)) yield* k.mtty.disableFiles(k, migration);
    return null;
  },

  /** mtty_save_device_data: goes on with the session, or begins one, which is handed out. */
  *save(k: Kernel, migration: CardMigration, stopped: boolean): Operation<File | null> {
    const before = migration.savingFile;
    const file = before ?? new MttyDataFile(migration.card, true);
    if (!before) {
      file.data.set(headerOf(migration.card.portCount));
      file.filled = HEADER_SIZE;
      migration.savingFile = file;
    }
    if (stopped) yield* k.mtty.saveState(k, migration.card, file);
    return before ? null : shared(file);
  },

  /** mtty_save_state */
  *saveState(k: Kernel, { ports, portCount }: MttyCard, file: MttyDataFile): Operation<void> {
    using _ = yield* k.lock(file.lock);
    for (const port of ports.slice(0, portCount)) {
      file.data.set(port.image, file.filled);
      file.filled += PORT_STATE_SIZE;
    }
  },

  /** mtty_load_state */
  *loadState(k: Kernel, { resumingFile: file, card }: CardMigration): Operation<void> {
    must(file !== null, rule["MTTY-MIG-LOAD-1"]);
    using _ = yield* k.lock(file.lock);
    must(file.filled >= file.data.length, rule["MTTY-MIG-LOAD-1"]);
    const images = portsOf(file);
    must(k.mtty.isLoadable(images), rule["MTTY-MIG-LOAD-2"]);
    for (const [i, image] of images.entries()) card.ports[i]?.image.set(image);
    k.keeps(rule["MTTY-MIG-LOAD-3"]);
  },

  /** Whether these can be the states of ports. */
  isLoadable(images: readonly Uint8Array[]): boolean {
    return images.every(isPortState);
  },

  /** mtty_disable_files: ends the sessions. Whoever has a descriptor keeps it. */
  *disableFiles(k: Kernel, migration: CardMigration): Operation<void> {
    for (const file of [migration.savingFile, migration.resumingFile]) {
      if (!file) continue;
      {
        using _ = yield* k.lock(file.lock);
        file.disabled = true;
        file.filled = 0;
        file.position = 0;
      }
      k.putFile(file);
    }
    migration.savingFile = null;
    migration.resumingFile = null;
  },

  /** What the state is to whoever opens the device next. */
  forgetState(migration: CardMigration): void {
    migration.state = STATE.RUNNING;
  },
};

/** A file that the card keeps and hands out. */
function shared(file: MttyDataFile): MttyDataFile {
  file.refs++;
  return file;
}
