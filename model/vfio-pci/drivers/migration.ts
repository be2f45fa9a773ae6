/**
 * Migration as drivers of PCI functions do it: one device's state, and the arcs from one to another. Each of mlx5, hisi_acc, pds,
 * virtio and qat has this machine in its own words, beside drivers/vfio/pci/mlx5/main.c:mlx5vf_pci_set_device_state and what
 * resembles it; what a stream is made of differs from driver to driver.
 */
import { clauses, must } from "../../kernel/clause.ts";
import type { File } from "../../kernel/file.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { Lock, LockClass } from "../../kernel/lock.ts";
import type { Operation } from "../../kernel/operation.ts";
import type { MigrationOps } from "../../vfio/migration.ts";
import { isPreCopy, type MigrationState, STATE } from "../../vfio/migration-states.ts";
import { DriverDataFile, steps as fileSteps, type IncomingStream } from "./data-file.ts";

const header = "include/uapi/linux/vfio.h:vfio_device_mig_state";
const variants = { machine: "variants" } as const;

export const rule = clauses({
  "VARIANT-MIG-STATE-1": {
    ...variants,
    rule: "a device in ERROR goes nowhere but to RUNNING, by a reset",
    errno: "EIO",
    source: "drivers/vfio/pci/pds/vfio_dev.c:pds_vfio_set_device_state",
    unseen: "it takes firmware that recovers by itself while the device is migrated",
  },
  "VARIANT-MIG-LOAD-1": {
    ...variants,
    rule: "a stream that ended early is not loaded, and the device stays in RESUMING",
    errno: "EINVAL",
    source: header,
  },
  "VARIANT-MIG-LOAD-2": {
    ...variants,
    rule: "the device has the state that the stream brought",
    source: header,
    observable: "later-call",
  },
  "VARIANT-MIG-RESET-1": {
    ...variants,
    rule: "a device that was reset is in RUNNING, whatever state it was in, and its sessions have ended",
    source: header,
    observable: "later-call",
  },
  "VARIANT-MIG-CLOSE-1": {
    ...variants,
    rule: "sessions end when the device is closed, and whoever opens it next finds it running",
    source: header,
    observable: "later-call",
  },
});

const stateMutex = new LockClass("mvdev->state_mutex");

/** The part of a driver's device that is about migration. */
export abstract class DriverMigration implements MigrationOps {
  abstract readonly flags: number;
  /** Whether sessions can be polled for data. */
  readonly polls: boolean = false;
  precopyInfoV2 = false;
  state: MigrationState = STATE.RUNNING;
  readonly stateMutex = new Lock(stateMutex);
  saving: DriverDataFile | null = null;
  resuming: DriverDataFile | null = null;

  /** What a copy of the running device brings. */
  abstract precopied(k: Kernel): Uint8Array;
  /** What a copy of the stopped device brings, behind what came while it ran if something did. */
  abstract stopped(k: Kernel, precopied: boolean): Uint8Array;
  /** Takes a stream in. */
  abstract receive(k: Kernel): IncomingStream;
  abstract dataSize(k: Kernel): number;

  /** What an arc that was carried out means to the driver besides. */
  *walked(_k: Kernel, _from: MigrationState): Operation<void> {}

  /** Refuses to tell, before anything is done, what is left in a copy of the running device when so many bytes are. */
  foreseePrecopyInfo(_left: number): void {}

  setState(k: Kernel, wanted: MigrationState): Operation<File | null> {
    return k.migrating.setState(k, this, wanted);
  }

  *getState(k: Kernel): Operation<MigrationState> {
    using _ = yield* k.lock(this.stateMutex);
    return this.state;
  }

  trace(): number {
    return this.state * 4 + (this.saving ? 1 : 0) + (this.resuming ? 2 : 0);
  }
}

export const steps = {
  ...fileSteps,

  /** mlx5vf_pci_set_device_state */
  *setState(k: Kernel, migration: DriverMigration, wanted: MigrationState): Operation<File | null> {
    using _ = yield* k.lock(migration.stateMutex);
    must(migration.state !== STATE.ERROR, rule["VARIANT-MIG-STATE-1"]);
    if (migration.state === wanted) k.migration.stays(k);
    let session: File | null = null;
    while (migration.state !== wanted) {
      const next = k.migration.nextState(migration.flags, migration.state, wanted);
      session = yield* k.migrating.stepState(k, migration, next);
      yield* migration.walked(k, migration.state);
      k.migration.walked(k, migration.state, next);
      migration.state = next;
    }
    return session;
  },

  /** mlx5vf_pci_step_device_state_locked: one arc, and the session that it begins. */
  *stepState(k: Kernel, migration: DriverMigration, to: MigrationState): Operation<File | null> {
    const { state: from } = migration;
    if (from === STATE.RESUMING) {
      yield* k.migrating.loadState(k, migration);
      yield* k.migrating.disableFiles(k, migration);
      return null;
    }
    if (to === STATE.RESUMING) {
      k.alloc();
      migration.resuming = new DriverDataFile(migration, migration.receive(k));
      return shared(migration.resuming);
    }
    if (to === STATE.STOP_COPY) return yield* k.migrating.saveStopped(k, migration);
    if (isPreCopy(to)) return isPreCopy(from) ? null : k.migrating.saveRunning(k, migration);
    if (from === STATE.STOP_COPY || isPreCopy(from)) yield* k.migrating.disableFiles(k, migration);
    return null;
  },

  /** mlx5vf_pci_save_device_data, while the device runs */
  saveRunning(k: Kernel, migration: DriverMigration): File {
    const file = new DriverDataFile(migration, null);
    file.outgoing = migration.precopied(k);
    file.initial = file.outgoing.length;
    migration.saving = file;
    return shared(file);
  },

  /** mlx5vf_pci_save_device_inc_data, or mlx5vf_pci_save_device_data: goes on with the session, or begins one. */
  *saveStopped(k: Kernel, migration: DriverMigration): Operation<File | null> {
    const before = migration.saving;
    const file = before ?? new DriverDataFile(migration, null);
    using _ = yield* k.lock(file.lock);
    file.outgoing = joined(file.outgoing, migration.stopped(k, before !== null));
    migration.saving = file;
    return before ? null : shared(file);
  },

  /** The device gets what came. */
  *loadState(k: Kernel, { resuming }: DriverMigration): Operation<void> {
    must(resuming?.incoming != null, rule["VARIANT-MIG-LOAD-1"]);
    using _ = yield* k.lock(resuming.lock);
    resuming.incoming.load(k);
    k.keeps(rule["VARIANT-MIG-LOAD-2"]);
  },

  /** mlx5vf_disable_fds: ends the sessions. Whoever has a descriptor keeps it. */
  *disableFiles(k: Kernel, migration: DriverMigration): Operation<void> {
    for (const file of [migration.resuming, migration.saving]) {
      if (!file) continue;
      {
        using _ = yield* k.lock(file.lock);
        file.disabled = true;
        file.position = 0;
      }
      k.putFile(file);
    }
    migration.saving = null;
    migration.resuming = null;
  },

  /** mlx5vf_pci_aer_reset_done */
  *resetDone(k: Kernel, migration: DriverMigration): Operation<void> {
    using _ = yield* k.lock(migration.stateMutex);
    if (migration.state !== STATE.RUNNING) k.keeps(rule["VARIANT-MIG-RESET-1"]);
    migration.state = STATE.RUNNING;
    yield* k.migrating.disableFiles(k, migration);
  },

  /** mlx5vf_cmd_close_migratable */
  *close(k: Kernel, migration: DriverMigration): Operation<void> {
    using _ = yield* k.lock(migration.stateMutex);
    if (migration.state !== STATE.RUNNING) k.keeps(rule["VARIANT-MIG-CLOSE-1"]);
    yield* k.migrating.disableFiles(k, migration);
    migration.state = STATE.RUNNING;
  },
};

/** A file that the device keeps and hands out. */
function shared(file: DriverDataFile): DriverDataFile {
  file.refs++;
  return file;
}

function joined(before: Uint8Array, more: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(before.length + more.length);
  bytes.set(before);
  bytes.set(more, before.length);
  return bytes;
}
