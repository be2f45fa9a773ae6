/**
 * The caller's memory, as the kernel sees it through copy_from_user() and copy_to_user().
 *
 * Each struct of a call is a block. A block knows how far it can be read and written, so that a bad pointer, a read-only
 * page and a struct that runs into a hole fault where they would fault on a real machine.
 */

import type { Place } from "../program.ts";
import { fieldOf, type Layout, readNumber, writeValue } from "../uapi/layout.ts";
import { type Clause, must } from "./clause.ts";
import { BLOCK_SIZE } from "./memory-map.ts";

export class UserBlock {
  /** Where the caller's pointer points. */
  address = 0;
  readonly bytes = new Uint8Array(BLOCK_SIZE);
  readonly view = new DataView(this.bytes.buffer);
  /** Bytes that the caller placed. */
  length = 0;
  /** Characters of the text that was placed, which may be more than the block has room for. */
  textLength = 0;
  readable = BLOCK_SIZE;
  writable = BLOCK_SIZE;
  /** From here on the content after the call is not defined (a copy that faulted half-way). */
  definedUpTo = BLOCK_SIZE;

  /** Makes the block fresh: zeros, placed as told. */
  reset(place: Place | undefined): void {
    this.bytes.fill(0);
    this.length = 0;
    this.textLength = 0;
    this.definedUpTo = BLOCK_SIZE;
    this.readable = BLOCK_SIZE;
    this.writable = BLOCK_SIZE;
    if (place === undefined) return;
    if (place === "readonly") {
      this.writable = 0;
    } else {
      this.readable = typeof place === "number" ? place : 0;
      this.writable = this.readable;
    }
  }

  /** copy_from_user of [from, to): refuses with `fault` where the memory can't be read. */
  copyFrom(to: number, fault: Clause, from = 0): void {
    must(to <= this.readable || to === from, fault);
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
    writeValue(this.view, offset, width, value);
  }

  /** copy_to_user of [from, to) out of `source`: a fault leaves the part before the hole undefined. */
  copyTo(source: Uint8Array, from: number, to: number, fault: Clause): void {
    if (to > this.writable) {
      if (this.writable > from) this.definedUpTo = Math.min(this.definedUpTo, from);
      must(false, fault);
    }
    this.bytes.set(source.subarray(from, to), from);
  }
}

/**
 * The tail of copy_struct_from_user(): bytes past what the kernel knows must be readable and zero. The scan ends at the
 * first byte that is not.
 */
export function checkZeroTail(block: UserBlock, known: number, userSize: number, fault: Clause, notZero: Clause): void {
  for (let offset = known; offset < userSize; offset++) {
    must(offset < block.readable, fault);
    must(offset >= BLOCK_SIZE || block.bytes[offset] === 0, notZero);
  }
}
