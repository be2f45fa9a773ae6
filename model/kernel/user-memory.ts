/**
 * The caller's memory, as the kernel sees it through copy_from_user() and copy_to_user().
 *
 * Each struct of a call is a block, and so is what a pointer into the program's own memory leads to. A block knows how far it can
 * be read and written, so that a bad pointer, a read-only page and a struct that runs into a hole fault where they would
 * fault on a real machine.
 */

import type { Place } from "../program.ts";
import { fieldOf, type Layout, readNumber, writeValue } from "../uapi/layout.ts";
import { type Clause, must } from "./clause.ts";
import { BLOCK_SIZE } from "./memory-map.ts";
import { Unmodelled } from "./operation.ts";

/** Brings more of the memory behind a block's begin: at least so many bytes, or throws Unmodelled. */
export type Fetch = (block: UserBlock, bytes: number) => void;

const nothingMore: Fetch = () => {
  throw new Unmodelled("what lies behind a struct");
};

export class UserBlock {
  /** Where the caller's pointer points. */
  address = 0;
  bytes: Uint8Array = new Uint8Array(BLOCK_SIZE);
  view: DataView = new DataView(this.bytes.buffer);
  /** Bytes that the caller placed. */
  length = 0;
  /** Characters of the text that was placed, which may be more than the block has room for. */
  textLength = 0;
  /** Bytes that can be read, and written, before there is a hole. Of those behind `bytes` it is not known what they hold. */
  readable = BLOCK_SIZE;
  writable = BLOCK_SIZE;
  /** From here on the content after the call is not defined (a copy that faulted half-way). */
  definedUpTo = BLOCK_SIZE;
  /** The bytes that the kernel wrote: from the first to behind the last. */
  touchedFrom = 0;
  touchedTo = 0;
  readonly #fetch: Fetch;

  constructor(fetch: Fetch = nothingMore) {
    this.#fetch = fetch;
  }

  /** Makes the block fresh: zeros, with `room` bytes up to the next hole if it is placed as told. */
  reset(place: Place | undefined, room = BLOCK_SIZE): void {
    this.bytes.fill(0);
    this.length = 0;
    this.textLength = 0;
    this.definedUpTo = Number.POSITIVE_INFINITY;
    this.touchedFrom = 0;
    this.touchedTo = 0;
    this.readable = room;
    this.writable = room;
    if (place === undefined) return;
    if (place === "readonly") {
      this.writable = 0;
    } else {
      this.readable = typeof place === "number" ? place : 0;
      this.writable = this.readable;
    }
  }

  /** Sees to it that what there is of the first `to` bytes is in `bytes`. Unmodelled where nobody knows what that is. */
  know(to: number): void {
    if (to > this.bytes.length && this.readable > this.bytes.length) this.#fetch(this, Math.min(to, this.readable));
  }

  /** copy_from_user of [from, to): refuses with `fault` where the memory can't be read. */
  copyFrom(to: number, fault: Clause, from = 0): void {
    must(to <= this.readable || to === from, fault);
    this.know(to);
  }

  u32(offset: number): number {
    return this.view.getUint32(offset, true);
  }

  s32(offset: number): number {
    return this.view.getInt32(offset, true);
  }

  /** An unsigned value of up to four bytes. */
  number(offset: number, width: 1 | 2 | 4): number {
    return readNumber(this.view, offset, width, false);
  }

  u64(offset: number): bigint {
    return this.view.getBigUint64(offset, true);
  }

  /** A copy of what the caller placed, as it is now, as far as that is defined. */
  defined(): Uint8Array {
    return this.bytes.slice(0, Math.min(this.length, this.definedUpTo));
  }

  /** A field's value as a number. */
  get(layout: Layout, name: string): number {
    const field = fieldOf(layout, name);
    return readNumber(this.view, field.offset, field.width, field.signed);
  }

  /** Whether [from, to) can be written. */
  canWrite(to: number): boolean {
    return to <= this.writable;
  }

  /** put_user of one value: nothing is written when it faults. */
  put(offset: number, width: 1 | 2 | 4 | 8, value: number | bigint, fault: Clause): void {
    must(offset + width <= this.writable, fault);
    this.touch(offset, offset + width);
    writeValue(this.view, offset, width, value);
  }

  /** copy_to_user of [from, to) out of `source`: a fault leaves the part before the hole undefined. */
  copyTo(source: Uint8Array, from: number, to: number, fault: Clause): void {
    this.#mustFit(from, to, fault);
    this.touch(from, to);
    this.bytes.set(source.subarray(from, to), from);
  }

  /** clear_user of [from, to), with the same faults. */
  clear(from: number, to: number, fault: Clause): void {
    this.#mustFit(from, to, fault);
    this.touch(from, to);
    this.bytes.fill(0, from, to);
  }

  /** bitmap_set: the bits from `first` to `last`, which must be there. */
  setBits(first: number, last: number): void {
    this.touch(first >> 3, (last >> 3) + 1);
    for (let bit = first; bit <= last; bit++) {
      this.bytes[bit >> 3] = (this.bytes[bit >> 3] ?? 0) | (1 << (bit & 7));
    }
  }

  /** Notes that the kernel writes to [from, to). */
  touch(from: number, to: number): void {
    this.know(to);
    if (this.touchedTo === 0 || from < this.touchedFrom) this.touchedFrom = from;
    if (to > this.touchedTo) this.touchedTo = to;
  }

  #mustFit(from: number, to: number, fault: Clause): void {
    if (to <= this.writable) return;
    if (this.writable > from) {
      this.definedUpTo = Math.min(this.definedUpTo, from);
      this.touch(from, this.writable);
    }
    must(false, fault);
  }
}

/**
 * The tail of copy_struct_from_user(): bytes past what the kernel knows must be readable and zero. The scan ends at the
 * first byte that is not.
 */
export function checkZeroTail(block: UserBlock, known: number, userSize: number, fault: Clause, notZero: Clause): void {
  for (let offset = known; offset < userSize; offset++) {
    must(offset < block.readable, fault);
    block.know(offset + 1);
    must(block.bytes[offset] === 0, notZero);
  }
}
