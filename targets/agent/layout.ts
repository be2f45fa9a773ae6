/**
 * What the agent and its programs agree on: the addresses of a program's memory and the bytecode's operations.
 * agent.c has the same numbers and says what each operation does.
 */

const MiB = 2 ** 20;

/** A piece of a program's memory; nothing is mapped directly after it. */
export interface Region {
  readonly address: number;
  readonly size: number;
}

/** Shared memory, read-write: where structs and strings are put. Zeros when a program starts. */
export const SCRATCH: Region = { address: 0x1000_0000_0000, size: MiB };
/** The same pages as `SCRATCH`, read-only. */
export const SCRATCH_READ_ONLY: Region = { address: 0x1100_0000_0000, size: MiB };
/** Private anonymous memory, read-write, faulted in as it is touched: what is mapped for DMA. */
export const USER: Region = { address: 0x1200_0000_0000, size: 16 * MiB };
/** Private anonymous memory, read-only. */
export const USER_READ_ONLY: Region = { address: 0x1300_0000_0000, size: 2 * MiB };
/** Addresses from here on are never mapped by the agent. */
export const NOTHING = 0x1400_0000_0000;

/** How many 64-bit slots a program has; all are -1 ("unset") when it starts. */
export const SLOT_COUNT = 1024;
/** How many other tasks a program can start. */
export const TASK_COUNT = 8;
/** How many processes it can make. */
export const PROCESS_COUNT = 4;
/** In place of the number of a process: the program itself. */
export const BY_PROGRAM = 0xff;
/** In place of a slot number in `touchRead` and `touchWrite`: the offset is the address. */
export const NO_SLOT = 0xffff;
/** The most output one piece of code can give, in bytes. */
export const OUTPUT_LIMIT = 4 * MiB;
/** The longest request the agent takes, in bytes, with its header. */
export const REQUEST_LIMIT = 8 * MiB;

/** The mark of code that has not begun a call. */
export const MARK_NONE = 0xffff_ffff;
/** The mark of a program that had run to its end and was being torn down: its files closed, its memory unmapped. */
export const MARK_EXIT = 0xffff_fffe;

/** The operations of the bytecode. */
export const Op = {
  poke: 0x01,
  pokeSlot: 0x02,
  pokeDecimal: 0x03,
  syscall: 0x04,
  keep: 0x05,
  load: 0x06,
  peek: 0x07,
  glob: 0x08,
  number: 0x09,
  list: 0x0a,
  skipIfFailed: 0x0b,
  mark: 0x0c,
  touchRead: 0x0d,
  touchWrite: 0x0e,
  skipIfUnset: 0x0f,
  failNth: 0x10,
  fired: 0x11,
  tasks: 0x12,
  start: 0x13,
  task: 0x14,
  join: 0x15,
  fork: 0x16,
  by: 0x17,
  exit: 0x18,
} as const;

/** Widths of a value in memory, in bytes. */
export type Width = 1 | 2 | 4 | 8;
