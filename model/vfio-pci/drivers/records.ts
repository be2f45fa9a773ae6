/**
 * Streams that are made of records: a header of 16 bytes with size, flags and tag, and the record's data behind it. mlx5 began
 * so, virtio does the same. Beside struct mlx5_vf_migration_header of drivers/vfio/pci/mlx5/cmd.h.
 */
import { clauses, must, refuse } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { Unmodelled } from "../../kernel/operation.ts";
import type { IncomingStream } from "./data-file.ts";

const variants = { machine: "variants", since: "6.2" } as const;
const source = "drivers/vfio/pci/mlx5/main.c:mlx5vf_resume_read_header";

export const rule = clauses({
  "VARIANT-RECORD-1": {
    ...variants,
    rule: "a record is no larger than the device can load; the session is of no use after one that is",
    errno: "ENOMEM",
    partial: true,
    source,
  },
  "VARIANT-RECORD-2": {
    ...variants,
    rule: "a record of a kind that nobody knows is refused where it is not marked as optional; the session is of no use after it",
    errno: "EOPNOTSUPP",
    partial: true,
    source,
  },
  "VARIANT-RECORD-3": {
    ...variants,
    rule: "a record of a kind that nobody knows is skipped where it is marked as optional",
    source: "drivers/vfio/pci/mlx5/main.c:mlx5vf_resume_read_header_data",
  },
});

const HEADER_SIZE = 16;
const OPTIONAL = 1;
/** What a record can have at the most: the size field of the command that loads it has 32 bits. */
const MAX_LOAD_SIZE = 0xffff_ffffn;

/** The tag of what the device itself has written. */
export const DEVICE_DATA = 0;

/** A record as it stands in a stream. */
export function record(tag: number, data: Uint8Array, optional = false): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE + data.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, optional ? OPTIONAL : 0, true);
  view.setUint32(12, tag, true);
  bytes.set(data, HEADER_SIZE);
  return bytes;
}

/** What a device makes of what it is given back. */
interface RecordLoader {
  /** Tags beside the device's own data that the driver knows. */
  readonly tags: readonly number[];
  /** Whether a device of this kind has written such data. */
  isOwn(data: Uint8Array): boolean;
}

/** A stream of records that comes in. */
export class RecordStream implements IncomingStream {
  readonly spoils = true;
  readonly #loader: RecordLoader;
  /** What came since the last whole record. */
  #pending = new Uint8Array(0);
  #records = 0;

  constructor(loader: RecordLoader) {
    this.#loader = loader;
  }

  admit(): void {}

  take(k: Kernel, piece: Uint8Array): void {
    const bytes = new Uint8Array(this.#pending.length + piece.length);
    bytes.set(this.#pending);
    bytes.set(piece, this.#pending.length);
    const skipped: number[] = [];
    let at = 0;
    let records = this.#records;
    while (bytes.length - at >= HEADER_SIZE) {
      const view = new DataView(bytes.buffer, at);
      const size = view.getBigUint64(0, true);
      const tag = view.getUint32(12, true);
      must(size <= MAX_LOAD_SIZE, rule["VARIANT-RECORD-1"]);
      const known = tag === DEVICE_DATA || this.#loader.tags.includes(tag);
      if (!known && (view.getUint32(8, true) & OPTIONAL) === 0) refuse(rule["VARIANT-RECORD-2"]);
      const end = at + HEADER_SIZE + Number(size);
      if (end > bytes.length) break;
      const data = bytes.subarray(at + HEADER_SIZE, end);
      if (tag === DEVICE_DATA && !this.#loader.isOwn(data)) {
        throw new Unmodelled("what firmware makes of a state that no such device has saved");
      }
      if (!known) skipped.push(tag);
      records++;
      at = end;
    }
    this.#pending = bytes.slice(at);
    this.#records = records;
    if (skipped.length > 0) k.keeps(rule["VARIANT-RECORD-3"]);
  }

  load(): void {
    if (this.#pending.length > 0) throw new Unmodelled("a stream that ends within a record");
  }

  trace(): number {
    return this.#pending.length * 64 + this.#records;
  }
}
