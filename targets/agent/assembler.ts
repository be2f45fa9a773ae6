/**
 * Writes the agent's bytecode: a method per operation, appended to one buffer that grows and is used again.
 */
import { BY_PROGRAM, NO_SLOT, Op, type Width } from "./layout.ts";

/** Stands for the value of a slot where a system call takes an argument. */
export interface SlotValue {
  readonly slot: number;
}

/** An argument of a system call: a number as it is (negative ones in two's complement), or a slot's value. */
export type SyscallArgument = number | bigint | SlotValue;

const utf8 = new TextEncoder();

/**
 * @example
 * const code = new Assembler()
 *   .pokeText(SCRATCH.address, "/dev/iommu")
 *   .syscall(SYS_OPENAT, AT_FDCWD, SCRATCH.address, O_RDWR)
 *   .keep(0)
 *   .finish();
 */
export class Assembler {
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** How many bytes of code were written so far. */
  get length(): number {
    return this.#length;
  }

  /** Writes memory. */
  poke(address: number, bytes: Uint8Array): this {
    this.#room(13 + bytes.length);
    this.#u8(Op.poke);
    this.#u64(address);
    this.#u32(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** Writes text and a NUL to memory. */
  pokeText(address: number, text: string): this {
    return this.poke(address, utf8.encode(`${text}\0`));
  }

  /** Writes the value of a slot to memory. */
  pokeSlot(address: number, width: Width, slot: number): this {
    this.#room(12);
    this.#u8(Op.pokeSlot);
    this.#u64(address);
    this.#u8(width);
    this.#u16(slot);
    return this;
  }

  /** Writes the value of a slot as decimal text and a NUL, `none` if it is unset. */
  pokeDecimal(address: number, slot: number): this {
    this.#room(11);
    this.#u8(Op.pokeDecimal);
    this.#u64(address);
    this.#u16(slot);
    return this;
  }

  /** Makes a system call; outputs an i64, its value or -errno, which becomes the result. */
  syscall(number: number, ...args: readonly SyscallArgument[]): this {
    this.#room(5 + 8 * args.length);
    this.#u8(Op.syscall);
    this.#u16(number);
    this.#u8(args.length);
    let slots = 0;
    for (let i = 0; i < args.length; i++) if (typeof args[i] === "object") slots |= 1 << i;
    this.#u8(slots);
    for (const arg of args) this.#u64(typeof arg === "object" ? arg.slot : arg);
    return this;
  }

  /** Makes an allocation of the next system call fail: the nth that it makes, from 1 on. */
  failNth(n: number): this {
    this.#room(5);
    this.#u8(Op.failNth);
    this.#u32(n);
    return this;
  }

  /** Outputs an i64: 1 if the allocation asked for last was made and failed, 0 if not, -errno where none can be asked for. */
  fired(): this {
    this.#room(1);
    this.#u8(Op.fired);
    return this;
  }

  /** Keeps the result in a slot; a negative result leaves it unset. */
  keep(slot: number): this {
    this.#room(3);
    this.#u8(Op.keep);
    this.#u16(slot);
    return this;
  }

  /** Loads a slot from memory, unless the result is negative. */
  load(slot: number, address: number, width: Width): this {
    this.#room(12);
    this.#u8(Op.load);
    this.#u16(slot);
    this.#u64(address);
    this.#u8(width);
    return this;
  }

  /** Outputs memory. */
  peek(address: number, length: number): this {
    this.#room(13);
    this.#u8(Op.peek);
    this.#u64(address);
    this.#u32(length);
    return this;
  }

  /** Sets a slot to the number at the end of the first path that matches the pattern at an address. */
  glob(pattern: number, slot: number): this {
    this.#room(11);
    this.#u8(Op.glob);
    this.#u64(pattern);
    this.#u16(slot);
    return this;
  }

  /** Sets a slot to the number at the end of the text at an address. */
  number(address: number, slot: number): this {
    this.#room(11);
    this.#u8(Op.number);
    this.#u64(address);
    this.#u16(slot);
    return this;
  }

  /** Lists the directory whose path is at an address; outputs i32 count or -errno, u32 length, names joined by `\n`. */
  list(path: number): this {
    this.#room(9);
    this.#u8(Op.list);
    this.#u64(path);
    return this;
  }

  /** Leaves out what `code` writes if the result is negative. */
  unlessFailed(code: (assembler: this) => void): this {
    this.#room(5);
    this.#u8(Op.skipIfFailed);
    return this.#skippable(code);
  }

  /** Leaves out what `code` writes if the slot is unset. */
  unlessUnset(slot: number, code: (assembler: this) => void): this {
    this.#room(7);
    this.#u8(Op.skipIfUnset);
    this.#u16(slot);
    return this.#skippable(code);
  }

  /** Makes so many tasks, each for one job. Before anything is opened: they hold what there is then. */
  tasks(count: number): this {
    this.#room(2);
    this.#u8(Op.tasks);
    this.#u8(count);
    return this;
  }

  /** Has a task open the file whose path is at an address, and write text to it. */
  start(task: number, path: number, text: number, length: number): this {
    this.#room(22);
    this.#u8(Op.start);
    this.#u8(task);
    this.#u64(path);
    this.#u64(text);
    this.#u32(length);
    return this;
  }

  /** Outputs i64: 1 while a task is at its job, 0 once it is done. */
  task(task: number): this {
    this.#room(2);
    this.#u8(Op.task);
    this.#u8(task);
    return this;
  }

  /** Waits until a task has done its job; outputs i64: what the write gave, or the open's -errno. */
  join(task: number): this {
    this.#room(2);
    this.#u8(Op.join);
    this.#u8(task);
    return this;
  }

  /** Makes a process with the program's descriptors and a copy of its memory; outputs i64: 0 or -errno. */
  fork(process: number): this {
    return this.#ofProcess(Op.fork, process);
  }

  /** Has a process make what system calls and accesses `code` writes. */
  by(process: number, code: () => unknown): this {
    this.#ofProcess(Op.by, process);
    code();
    return this.#ofProcess(Op.by, BY_PROGRAM);
  }

  /** Ends a process and waits for that; outputs i64: 0. */
  exit(process: number): this {
    return this.#ofProcess(Op.exit, process);
  }

  #ofProcess(op: number, process: number): this {
    this.#room(2);
    this.#u8(op);
    this.#u8(process);
    return this;
  }

  /** Says which call begins: a hang or a signal is put down to it. */
  mark(id: number): this {
    this.#room(5);
    this.#u8(Op.mark);
    this.#u32(id);
    return this;
  }

  /** Reads one value from `slot + offset` (`offset` alone for `NO_SLOT`); outputs u32 signal (0: none), u64 value. */
  touchRead(offset: number, width: Width, slot: number = NO_SLOT): this {
    this.#room(12);
    this.#u8(Op.touchRead);
    this.#u16(slot);
    this.#u64(offset);
    this.#u8(width);
    return this;
  }

  /** Writes one value to `slot + offset` (`offset` alone for `NO_SLOT`); outputs u32 signal (0: none). */
  touchWrite(offset: number, width: Width, value: number | bigint, slot: number = NO_SLOT): this {
    this.#room(20);
    this.#u8(Op.touchWrite);
    this.#u16(slot);
    this.#u64(offset);
    this.#u8(width);
    this.#u64(value);
    return this;
  }

  /** A copy of the code; the assembler starts over. */
  finish(): Uint8Array {
    const code = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return code;
  }

  #skippable(code: (assembler: this) => void): this {
    const at = this.#length;
    this.#u32(0);
    code(this);
    this.#view.setUint32(at, this.#length - at - 4, true);
    return this;
  }

  #room(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const bigger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    bigger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bigger;
    this.#view = new DataView(bigger.buffer);
  }

  #u8(value: number): void {
    this.#view.setUint8(this.#length, value);
    this.#length += 1;
  }

  #u16(value: number): void {
    this.#view.setUint16(this.#length, value, true);
    this.#length += 2;
  }

  #u32(value: number): void {
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  #u64(value: number | bigint): void {
    if (typeof value === "bigint") {
      this.#view.setBigUint64(this.#length, BigInt.asUintN(64, value), true);
    } else {
      this.#view.setUint32(this.#length, value >>> 0, true);
      this.#view.setUint32(this.#length + 4, Math.floor(value / 2 ** 32) >>> 0, true);
    }
    this.#length += 8;
  }
}
