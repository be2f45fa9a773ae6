/** Memory of a program that its calls are given: blocks at addresses that are the same on every target. */
import { blockAddress, isStruct } from "../../model/kernel/encode.ts";
import { BLOCK_SIZE } from "../../model/kernel/memory-map.ts";
import type { Place, StructArgument, Value, WriteBuffer } from "../../model/program.ts";
import { type Layout, writeValue } from "../../model/uapi/layout.ts";
import type { Assembler } from "../agent/assembler.ts";
import type { Slots } from "./slots.ts";

/** A block in the program's memory, as far as it is mapped. */
export interface Placed {
  readonly address: number;
  readonly length: number;
}

export const NOWHERE: Placed = { address: 0, length: 0 };

/** The blocks that a program has taken, in the order of its calls. */
export class Blocks {
  /** How many there are. */
  count = 0;
  readonly #code: Assembler;
  readonly #slots: Slots;
  readonly #scratch = new Uint8Array(BLOCK_SIZE);
  readonly #view = new DataView(this.#scratch.buffer);

  constructor(code: Assembler, slots: Slots) {
    this.#code = code;
    this.#slots = slots;
  }

  /** The index of a new block. */
  next(): number {
    return this.count++;
  }

  /** Puts what is to be written in a block of its own. */
  content({ count, place, bytes = [] }: WriteBuffer): number {
    const index = this.next();
    if (typeof place === "number") this.clear(index, place, count);
    const readable = writableAddress(index, place);
    const length = Math.min(bytes.length, count, typeof place === "number" ? place : count);
    if (readable !== null && length > 0) this.#code.poke(readable, Uint8Array.from(bytes.slice(0, length)));
    return blockAddress(index, place);
  }

  /** What ends in front of the hole lies where others did before. */
  clear(index: number, place: number, count: number): void {
    const length = Math.min(place, count);
    const address = writableAddress(index, place);
    if (address !== null && length > 0) this.#code.poke(address, new Uint8Array(length));
  }

  /** Puts text in a block, as far as that is mapped. */
  pokeText(index: number, text: string, place: Place | undefined): void {
    const address = writableAddress(index, place);
    if (address === null) return;
    const length = typeof place === "number" ? Math.min(place, text.length) : text.length;
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = text.charCodeAt(i);
    this.#code.poke(address, bytes);
  }

  /** Pokes a struct and what it points to, in the order in which the model lays blocks out; gives where they are. */
  struct(index: number, layout: Layout, argument: StructArgument): Placed[] {
    const slots: { offset: number; width: 1 | 2 | 4 | 8; handle: string }[] = [];
    const nested: { layout: Layout; argument: StructArgument; index: number }[] = [];
    const bytes = this.#scratch;
    const view = this.#view;
    bytes.fill(0);
    const put = (offset: number, width: 1 | 2 | 4 | 8, value: Value): void => {
      if (typeof value === "string") slots.push({ offset, width, handle: value });
      else writeValue(view, offset, width, value);
    };
    for (const field of layout.fields) {
      const value = argument.fields[field.name];
      if (value === undefined || Array.isArray(value)) continue;
      if (!isStruct(value)) {
        if (typeof value !== "object") put(field.offset, field.width, value);
      } else if (field.meaning.kind === "pointer") {
        const at = this.next();
        nested.push({ layout: field.meaning.to, argument: value, index: at });
        writeValue(view, field.offset, field.width, blockAddress(at, value.place));
      }
    }
    let length = layout.size;
    const elements = layout.trailing && argument.fields[layout.trailing.name];
    if (layout.trailing && Array.isArray(elements)) {
      for (const element of elements) {
        put(length, layout.trailing.width, element);
        length += layout.trailing.width;
      }
    }
    if (argument.tail) for (const byte of argument.tail) bytes[length++] = byte;
    const { place } = argument;
    if (typeof place === "number") length = Math.min(length, place);
    const address = writableAddress(index, place);
    let here = NOWHERE;
    if (address !== null) {
      here = { address, length };
      if (length > 0) this.#code.poke(address, bytes.subarray(0, length));
      for (const { offset, width, handle } of slots) {
        if (offset + width <= length) this.#code.pokeSlot(address + offset, width, this.#slots.of(handle));
      }
    }
    return [here, ...nested.flatMap((inner) => this.struct(inner.index, inner.layout, inner.argument))];
  }
}

/** Where the harness writes the block of that index; null where there is no memory. */
export function writableAddress(index: number, place: Place | undefined): number | null {
  if (place === "null" || place === "unmapped") return null;
  return blockAddress(index, typeof place === "number" ? place : undefined);
}
