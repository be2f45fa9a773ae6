/** Data sessions of mtty: the files, and what their streams are made of. Beside samples/vfio-mdev/mtty.c. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import { File, O_RDONLY, O_WRONLY, type Transfer } from "../kernel/file.ts";
import type { Argument, Ioctl } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { Operation } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import { isPreCopy } from "../vfio/migration-states.ts";
import { checkPrecopyInfo, getPrecopyInfo, rule as precopyRule, putPrecopyInfo } from "../vfio/precopy-info.ts";
import type { MttyCard } from "./mtty.ts";
import { PORT_STATE_SIZE } from "./mtty-uart.ts";

const source = (name: string) => `samples/vfio-mdev/mtty.c:${name}`;
const header = "include/uapi/linux/vfio.h";
const migrated = { since: "6.7" } as const;

export const rule = clauses({
  "MTTY-MIG-READ-1": {
    ...migrated,
    rule: "a session that has ended brings nothing more",
    errno: "ENODEV",
    source: source("mtty_save_read"),
  },
  "MTTY-MIG-READ-2": {
    ...migrated,
    rule: "the buffer must be writable",
    errno: "EFAULT",
    source: source("mtty_save_read"),
  },
  "MTTY-MIG-READ-3": {
    ...migrated,
    rule: "in PRE_COPY and PRE_COPY_P2P the stream has no end: where there is no more for now, the caller is told so",
    errno: "ENOMSG",
    source: `${header}:VFIO_MIG_GET_PRECOPY_INFO`,
  },
  "MTTY-MIG-READ-4": {
    ...migrated,
    rule: "in PRE_COPY the stream brings its header: magic, version and number of ports",
    source: source("mtty_save_device_data"),
    observable: "output",
  },
  "MTTY-MIG-READ-5": {
    ...migrated,
    rule: "in STOP_COPY it goes on with the state of every port, and then it ends",
    source: source("mtty_save_state"),
    observable: "output",
  },
  "MTTY-MIG-WRITE-1": {
    ...migrated,
    rule: "a stream is no longer than the card's state",
    errno: "ENOMEM",
    source: source("mtty_resume_write"),
  },
  "MTTY-MIG-WRITE-2": {
    ...migrated,
    rule: "a session that has ended takes nothing more",
    errno: "ENODEV",
    source: source("mtty_resume_write"),
  },
  "MTTY-MIG-WRITE-3": {
    ...migrated,
    rule: "the buffer must be readable",
    errno: "EFAULT",
    source: source("mtty_resume_write"),
  },
  "MTTY-MIG-WRITE-4": {
    ...migrated,
    rule: "magic, version and number of ports must be those of the card: what completes another header is refused, and not taken",
    errno: "EFAULT",
    source: source("mtty_resume_write"),
  },
  "MTTY-MIG-WRITE-5": {
    ...migrated,
    rule: "the stream is taken in pieces of any length",
    source: `${header}:vfio_device_feature_mig_state`,
  },
  "MTTY-MIG-PRECOPY-1": {
    ...migrated,
    rule: "a session that has ended tells nothing more",
    errno: "ENODEV",
    source: source("mtty_precopy_ioctl"),
  },
});

const fileLock = new LockClass("mtty_migration_file->lock");

/** Bytes of struct mtty_data before its ports. */
export const HEADER_SIZE = 24;

/** The header of a card's stream: magic, major and minor version, ports, flags. */
export function headerOf(ports: number): Uint8Array {
  const image = new Uint8Array(HEADER_SIZE);
  const view = new DataView(image.buffer);
  view.setBigUint64(0, 0x7e9d_0989_8c3e_2c4en, true);
  view.setUint32(8, 1, true);
  view.setUint32(16, ports, true);
  return image;
}

/** struct mtty_migration_file: a data session of a card. */
export class MttyDataFile extends File {
  readonly kind = "migration";
  override readonly positioned = false;
  readonly card: MttyCard;
  readonly saving: boolean;
  readonly lock = new Lock(fileLock);
  /** struct mtty_data, as far as it is filled. */
  readonly data: Uint8Array;
  filled = 0;
  position = 0;
  /** Whether the session has ended. */
  disabled = false;

  constructor(card: MttyCard, saving: boolean) {
    super(saving ? O_RDONLY : O_WRONLY);
    this.card = card;
    this.saving = saving;
    this.data = new Uint8Array(HEADER_SIZE + card.portCount * PORT_STATE_SIZE);
  }

  override ioctl(k: Kernel, command: Ioctl, arg: Argument): Operation<number> {
    if (this.saving && command.request === getPrecopyInfo.request) return k.mtty.precopyInfo(k, this, arg);
    return refuse(vfsRule["VFS-IOCTL-1"]);
  }

  override read(k: Kernel, io: Transfer): Operation<number> {
    return this.saving ? k.mtty.saveRead(k, this, io) : super.read(k, io);
  }

  override write(k: Kernel, io: Transfer): Operation<number> {
    return this.saving ? super.write(k, io) : k.mtty.resumeWrite(k, this, io);
  }

  trace(): number {
    return (this.filled * 256 + this.position) * 2 + (this.disabled ? 1 : 0);
  }
}

/** The states of ports that a stream brings, as far as it came. */
export function portsOf({ data, card }: MttyDataFile): readonly Uint8Array[] {
  return Array.from({ length: card.portCount }, (_, port) => {
    const at = HEADER_SIZE + port * PORT_STATE_SIZE;
    return data.subarray(at, at + PORT_STATE_SIZE);
  });
}

export const steps = {
  /** mtty_save_read */
  *saveRead(k: Kernel, file: MttyDataFile, { block, count }: Transfer): Operation<number> {
    using _ = yield* k.lock(file.lock);
    must(!file.disabled, rule["MTTY-MIG-READ-1"]);
    const length = Math.min(file.filled - file.position, count);
    if (length === 0) {
      if (count > 0) k.mtty.checkEnd(file);
      return 0;
    }
    const image = block.bytes.slice();
    image.set(file.data.subarray(file.position, file.position + length));
    block.copyTo(image, 0, length, rule["MTTY-MIG-READ-2"]);
    file.position += length;
    k.keeps(rule[file.position > HEADER_SIZE ? "MTTY-MIG-READ-5" : "MTTY-MIG-READ-4"]);
    return length;
  },

  /** Where nothing is left: the end of the stream in STOP_COPY, but not before. */
  checkEnd({ card }: MttyDataFile): void {
    must(!isPreCopy(card.state.state), rule["MTTY-MIG-READ-3"]);
  },

  /** mtty_resume_write */
  *resumeWrite(k: Kernel, file: MttyDataFile, { block, count }: Transfer): Operation<number> {
    must(file.position + count <= file.data.length, rule["MTTY-MIG-WRITE-1"]);
    using _ = yield* k.lock(file.lock);
    must(!file.disabled, rule["MTTY-MIG-WRITE-2"]);
    block.copyFrom(count, rule["MTTY-MIG-WRITE-3"]);
    file.data.set(block.bytes.subarray(0, count), file.position);
    if (file.filled < HEADER_SIZE && file.filled + count >= HEADER_SIZE && !hasOwnHeader(file)) {
      k.mtty.wrongHeader(file, count);
      refuse(rule["MTTY-MIG-WRITE-4"]);
    }
    file.position += count;
    file.filled += count;
    k.keeps(rule["MTTY-MIG-WRITE-5"]);
    return count;
  },

  /** What becomes of a piece that completes another header than the card's; nothing of it is kept. */
  wrongHeader(_file: MttyDataFile, _count: number): void {},

  /** mtty_precopy_ioctl */
  *precopyInfo(k: Kernel, file: MttyDataFile, { block }: Argument): Operation<number> {
    checkPrecopyInfo(block);
    const { card } = file;
    using _ = yield* k.lock(card.state.stateMutex);
    try {
      must(isPreCopy(card.state.state), precopyRule["VFIO-MIG-PRECOPY-3"]);
      let left: number;
      {
        using _file = yield* k.lock(file.lock);
        must(!file.disabled, rule["MTTY-MIG-PRECOPY-1"]);
        left = file.filled - file.position;
      }
      putPrecopyInfo(block, card.state.precopyInfoV2, left, 0);
    } finally {
      yield* k.mtty.settle(k, card.state);
    }
    k.keeps(precopyRule["VFIO-MIG-PRECOPY-5"]);
    return 0;
  },
};

function hasOwnHeader({ data, card }: MttyDataFile): boolean {
  return headerOf(card.portCount).every((byte, at) => byte === data[at]);
}
