/**
 * Data sessions of drivers that migrate: the files, and how their streams are read and written. mlx5, hisi_acc, pds, virtio
 * and qat each have their own copy of these, beside drivers/vfio/pci/mlx5/main.c:mlx5vf_save_read and what resembles it.
 */
import { clauses, must, Refusal, refuse } from "../../kernel/clause.ts";
import { File, O_RDONLY, O_WRONLY, type Transfer } from "../../kernel/file.ts";
import type { Argument, Ioctl } from "../../kernel/ioctl.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { Lock, LockClass } from "../../kernel/lock.ts";
import type { Operation } from "../../kernel/operation.ts";
import { rule as vfsRule } from "../../kernel/vfs.ts";
import { POLL } from "../../uapi/poll.ts";
import { isPreCopy, MIGRATION } from "../../vfio/migration-states.ts";
import { checkPrecopyInfo, getPrecopyInfo, rule as precopyRule, putPrecopyInfo } from "../../vfio/precopy-info.ts";
import type { DriverMigration } from "./migration.ts";

const header = "include/uapi/linux/vfio.h";
const variants = { machine: "variants" } as const;
const source = (name: string) => `drivers/vfio/pci/mlx5/main.c:${name}`;
/** The drivers that copy a running device: the first did so in 6.2. */
const precopies = { ...variants, since: "6.2" } as const;

export const rule = clauses({
  "VARIANT-MIG-READ-1": {
    ...variants,
    rule: "a session that has ended brings nothing more",
    errno: "ENODEV",
    source: source("mlx5vf_save_read"),
  },
  "VARIANT-MIG-READ-2": {
    ...variants,
    rule: "the buffer must be writable; nothing of the stream is lost",
    errno: "EFAULT",
    source: source("mlx5vf_buf_read"),
  },
  "VARIANT-MIG-READ-3": {
    ...precopies,
    rule: "while the device is copied running the stream has no end: where there is no more for now, the caller is told so",
    errno: "ENOMSG",
    source: `${header}:VFIO_MIG_GET_PRECOPY_INFO`,
  },
  "VARIANT-MIG-READ-4": {
    ...variants,
    rule: "in STOP_COPY the stream brings what is left of the device's state, and then it ends",
    source: `${header}:vfio_device_mig_state`,
    observable: "output",
  },
  "VARIANT-MIG-WRITE-1": {
    ...variants,
    rule: "a session that has ended, or was refused what it took, takes nothing more",
    errno: "ENODEV",
    source: source("mlx5vf_resume_write"),
  },
  "VARIANT-MIG-WRITE-2": {
    ...variants,
    rule: "the buffer must be readable; the session goes on",
    errno: "EFAULT",
    source: source("mlx5vf_resume_write"),
  },
  "VARIANT-MIG-WRITE-3": {
    ...variants,
    rule: "the stream is taken in pieces of any length",
    source: `${header}:vfio_device_feature_mig_state`,
  },
  "VARIANT-MIG-POLL-1": {
    ...variants,
    rule: "a session of mlx5 is readable while it has data, and for ever once it has all of it; one that has ended says so",
    source: source("mlx5vf_save_poll"),
  },
  "VARIANT-MIG-PRECOPY-1": {
    ...precopies,
    rule: "a session that has ended tells nothing more",
    errno: "ENODEV",
    source: source("mlx5vf_precopy_ioctl"),
  },
});

const fileLock = new LockClass("migf->lock");

/** What a driver makes of a stream that comes in. */
export interface IncomingStream {
  /** Refuses what there is no room for behind so many bytes, whether or not the session goes on. */
  admit(position: number, count: number): void;
  /** Takes a piece, or refuses it and has taken nothing. */
  take(k: Kernel, piece: Uint8Array): void;
  /** The device gets what has come; refuses where that is not all of it. */
  load(k: Kernel): void;
  /** Whether what is refused spoils the session. */
  readonly spoils: boolean;
  trace(): number;
}

/** struct mlx5_vf_migration_file, and those like it. */
export class DriverDataFile extends File {
  readonly kind = "migration";
  override readonly positioned = false;
  readonly migration: DriverMigration;
  /** What comes in; null where the device is saved. */
  readonly incoming: IncomingStream | null;
  readonly lock = new Lock(fileLock);
  /** What was saved so far. */
  outgoing: Uint8Array = new Uint8Array(0);
  /** Bytes of it that came before the device was stopped. */
  initial = 0;
  position = 0;
  /** Whether the session has ended, and whether what was refused of its stream has ended it. */
  disabled = false;
  spoiled = false;

  constructor(migration: DriverMigration, incoming: IncomingStream | null) {
    super(incoming ? O_WRONLY : O_RDONLY);
    this.migration = migration;
    this.incoming = incoming;
  }

  override ioctl(k: Kernel, command: Ioctl, arg: Argument): Operation<number> {
    const precopies = (this.migration.flags & MIGRATION.PRE_COPY) !== 0;
    if (!this.incoming && precopies && command.request === getPrecopyInfo.request) {
      return k.migrating.precopyInfo(k, this, arg);
    }
    return refuse(vfsRule["VFS-IOCTL-1"]);
  }

  override read(k: Kernel, io: Transfer): Operation<number> {
    return this.incoming ? super.read(k, io) : k.migrating.saveRead(k, this, io);
  }

  override write(k: Kernel, io: Transfer): Operation<number> {
    return this.incoming ? k.migrating.resumeWrite(k, this, this.incoming, io) : super.write(k, io);
  }

  override poll(k: Kernel): number {
    return !this.incoming && this.migration.polls ? k.migrating.poll(k, this) : super.poll(k);
  }

  trace(): number {
    const { outgoing, position, disabled, incoming } = this;
    return ((outgoing.length * 1024 + position) * 2 + (disabled ? 1 : 0)) ^ (incoming?.trace() ?? 0);
  }
}

export const steps = {
  /** mlx5vf_save_read */
  *saveRead(k: Kernel, file: DriverDataFile, { block, count }: Transfer): Operation<number> {
    using _ = yield* k.lock(file.lock);
    must(!file.disabled, rule["VARIANT-MIG-READ-1"]);
    const length = Math.min(file.outgoing.length - file.position, count);
    if (length === 0) {
      if (count > 0) k.migrating.checkEnd(file);
      return 0;
    }
    const image = block.bytes.slice();
    image.set(file.outgoing.subarray(file.position, file.position + length));
    block.copyTo(image, 0, length, rule["VARIANT-MIG-READ-2"]);
    file.position += length;
    if (file.position > file.initial) k.keeps(rule["VARIANT-MIG-READ-4"]);
    return length;
  },

  /** Where nothing is left: the end of the stream in STOP_COPY, but not before. */
  checkEnd({ migration }: DriverDataFile): void {
    must(!isPreCopy(migration.state), rule["VARIANT-MIG-READ-3"]);
  },

  /** mlx5vf_resume_write */
  *resumeWrite(
    k: Kernel,
    file: DriverDataFile,
    incoming: IncomingStream,
    { block, count }: Transfer,
  ): Operation<number> {
    incoming.admit(file.position, count);
    using _state = yield* k.lock(file.migration.stateMutex);
    using _ = yield* k.lock(file.lock);
    must(!file.disabled, rule["VARIANT-MIG-WRITE-1"]);
    block.copyFrom(count, rule["VARIANT-MIG-WRITE-2"]);
    try {
      incoming.take(k, block.bytes.slice(0, count));
    } catch (refusal) {
      if (refusal instanceof Refusal && incoming.spoils) {
        file.disabled = true;
        file.spoiled = true;
      }
      throw refusal;
    }
    file.position += count;
    k.keeps(rule["VARIANT-MIG-WRITE-3"]);
    return count;
  },

  /** mlx5vf_save_poll */
  poll(k: Kernel, { disabled, outgoing, position, migration }: DriverDataFile): number {
    k.keeps(rule["VARIANT-MIG-POLL-1"]);
    if (disabled) return POLL.POLLIN | POLL.POLLRDNORM;
    return position < outgoing.length || !isPreCopy(migration.state) ? POLL.POLLIN | POLL.POLLRDNORM : 0;
  },

  /** mlx5vf_precopy_ioctl. Nobody drives the device, so that nothing of it changes while it is copied. */
  *precopyInfo(k: Kernel, file: DriverDataFile, { block }: Argument): Operation<number> {
    checkPrecopyInfo(block);
    const { migration } = file;
    using _ = yield* k.lock(migration.stateMutex);
    must(isPreCopy(migration.state), precopyRule["VFIO-MIG-PRECOPY-3"]);
    let left: number;
    {
      using _file = yield* k.lock(file.lock);
      must(!file.disabled, rule["VARIANT-MIG-PRECOPY-1"]);
      left = file.initial - file.position;
    }
    migration.foreseePrecopyInfo(left);
    putPrecopyInfo(block, migration.precopyInfoV2, left, 0);
    k.keeps(precopyRule["VFIO-MIG-PRECOPY-5"]);
    return 0;
  },
};
