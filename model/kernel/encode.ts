/** Lays the structs of a call out in the caller's memory: fields to bytes, handles to numbers, pointers to addresses. */
import type { AccessWidth, Place, StructArgument, Value } from "../program.ts";
import { type Layout, writeValue } from "../uapi/layout.ts";
import { BLOCK_SIZE, MEMORY } from "./memory-map.ts";
import type { Mm } from "./mm.ts";
import { Unmodelled } from "./operation.ts";
import { UserBlock } from "./user-memory.ts";

/** What a handle or a number is worth on this machine; unbound handles are -1. */
export type Resolve = (value: Value) => number | bigint;

/** The address of the program's block `index` for a struct of `length` bytes that lies as told. */
export function blockAddress(index: number, place: Place | undefined): number {
  if (place === undefined) return SCRATCH + index * BLOCK_SIZE;
  if (place === "readonly") return SCRATCH_READONLY + index * BLOCK_SIZE;
  if (place === "null") return 0;
  if (place === "unmapped") return HOLE;
  return SCRATCH + MEMORY.scratchSize - place;
}

// As plain numbers, which cost nothing: all of a task's memory lies far below 2^53.
const SCRATCH = Number(MEMORY.scratch);
const SCRATCH_READONLY = Number(MEMORY.scratchReadonly);
const HOLE = Number(MEMORY.hole);

/** Bytes from a block's address, which is in memory of structs, to the hole behind that. */
function roomAt(address: number): number {
  return (address >= SCRATCH_READONLY ? SCRATCH_READONLY : SCRATCH) + MEMORY.scratchSize - address;
}

/** Whether a value is a struct of its own rather than a number, a handle or a list. */
export function isStruct(value: unknown): value is StructArgument {
  return typeof value === "object" && value !== null && "fields" in value;
}

const NOTHING: readonly UserBlock[] = [];
const NO_BYTES: readonly number[] = [];

/**
 * The structs of the call in flight: the one that the argument points to, and those that it points to in turn. A pointer into
 * the program's own memory leads to what that holds.
 */
export class ArgumentBlocks {
  readonly main = new UserBlock();
  readonly #k: { readonly mm: Mm };
  readonly #nested: UserBlock[] = [];
  #used = 0;
  /** What pointers into the program's own memory led to. */
  readonly #own: UserBlock[] = [];
  readonly #fault = new UserBlock();
  /** Blocks that the program has used so far; their addresses are never given twice. */
  count = 0;

  /** `k` tells in whose memory they are: that of the process that makes the call. */
  constructor(k: { readonly mm: Mm }) {
    this.#k = k;
  }

  get #mm(): Mm {
    return this.#k.mm;
  }

  /** What a pointer of the argument points to. */
  readonly at = (pointer: bigint): UserBlock => {
    const address = Number(pointer);
    for (let i = 0; i < this.#used; i++) {
      const block = this.#nested[i];
      if (block?.address === address) return block;
    }
    if (this.#mm.content.has(pointer)) return this.#inOwnMemory(address);
    // A number that was not made from a struct: what lies there, if anything does, is none of the call's.
    if (this.#mm.reach(pointer, 1).pages > 0) throw new Unmodelled("a pointer to structs of other calls");
    this.#fault.reset("unmapped");
    return this.#fault;
  };

  /** What pointers of the call in flight lead to, in the order of their fields. */
  get pointed(): readonly UserBlock[] {
    return this.#used === 0 ? NOTHING : this.#nested.slice(0, this.#used);
  }

  /** Begins a call: the main block is fresh and lies as told. */
  begin(place: Place | undefined): void {
    this.#used = 0;
    this.#own.length = 0;
    this.#open(this.main, place);
  }

  #open(block: UserBlock, place: Place | undefined): void {
    const address = blockAddress(this.count++, place);
    block.reset(place, place === undefined || place === "readonly" ? roomAt(address) : 0);
    block.address = address;
  }

  /** The program's own memory from an address on, as it is at the begin of the call or when it was first asked for. */
  #inOwnMemory(address: number): UserBlock {
    let block = this.#own.find((each) => each.address === address);
    if (block) return block;
    const mm = this.#mm;
    block = new UserBlock((each, bytes) => mm.bringMore(each, bytes));
    const { room, writable } = mm.roomAt(BigInt(address));
    block.reset(writable ? undefined : "readonly", room);
    block.address = address;
    mm.bringMore(block, 1);
    this.#own.push(block);
    return block;
  }

  /** Ends a call: what the kernel wrote to the program's own memory is there. */
  end(): void {
    for (const block of this.#own) this.#mm.takeBack(block);
  }

  /** Lays out a struct in the main block. */
  struct(layout: Layout, argument: StructArgument, resolve: Resolve): void {
    this.begin(argument.place);
    this.#fill(this.main, layout, argument, resolve);
  }

  /** Puts what was loaded into the main block; null where nobody knows what it is. */
  loaded(width: AccessWidth, value: bigint | null): void {
    this.main.reset(undefined);
    this.main.length = width;
    if (value === null) this.main.definedUpTo = 0;
    else writeValue(this.main.view, 0, width, value);
  }

  /** Lays out the buffer of a read or write in the main block. */
  buffer(count: number, place: Place | undefined, bytes: ArrayLike<number> = NO_BYTES): void {
    if (count > BLOCK_SIZE) throw new Unmodelled(`reads and writes of more than ${BLOCK_SIZE} bytes`);
    this.begin(place);
    const { main } = this;
    const end = Math.min(bytes.length, count, main.readable);
    for (let i = 0; i < end; i++) main.bytes[i] = bytes[i] ?? 0;
    main.length = Math.min(count, main.readable);
  }

  /** Lays out what a read brought for another call: no block of its own, for it has one already. */
  bufferAgain(count: number, bytes: Uint8Array): void {
    this.buffer(count, undefined, bytes);
    this.count--;
  }

  /** Lays out text with its NUL in the main block. */
  text(text: string, place: Place | undefined): void {
    this.begin(place);
    const { main } = this;
    main.textLength = text.length;
    for (let i = 0; i < text.length && i < BLOCK_SIZE - 1; i++) main.bytes[i] = text.charCodeAt(i);
    main.length = Math.min(text.length + 1, BLOCK_SIZE);
  }

  #fill(block: UserBlock, layout: Layout, argument: StructArgument, resolve: Resolve): void {
    for (const field of layout.fields) {
      const value = argument.fields[field.name];
      if (value === undefined) continue;
      if (isStruct(value)) {
        if (field.meaning.kind !== "pointer") continue;
        writeValue(block.view, field.offset, field.width, this.#point(field.meaning.to, value, resolve));
      } else if (typeof value === "number" || typeof value === "bigint") {
        writeValue(block.view, field.offset, field.width, value);
      } else if (typeof value === "string") {
        // A handle's number does not lie half in a hole: there is no saying which half a target would get.
        if (field.offset + field.width <= block.readable || block.readable === 0) {
          writeValue(block.view, field.offset, field.width, resolve(value));
        }
      }
    }
    block.length = layout.size;
    const { trailing } = layout;
    const elements = trailing && argument.fields[trailing.name];
    if (trailing && Array.isArray(elements)) {
      for (const element of elements) {
        if (typeof element !== "string" || block.length + trailing.width <= block.readable) {
          writeValue(block.view, block.length, trailing.width, resolve(element));
        }
        block.length += trailing.width;
      }
    }
    if (argument.tail) {
      for (const byte of argument.tail) block.bytes[block.length++] = byte;
    }
    if (block.length > block.readable) {
      // What would lie in the hole is not there.
      block.bytes.fill(0, block.readable);
      block.length = block.readable;
    }
  }

  #point(layout: Layout, argument: StructArgument, resolve: Resolve): number {
    let block = this.#nested[this.#used];
    if (!block) {
      block = new UserBlock();
      this.#nested.push(block);
    }
    this.#used++;
    this.#open(block, argument.place);
    this.#fill(block, layout, argument, resolve);
    return block.address;
  }
}
