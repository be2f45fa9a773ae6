/**
 * Where a program's memory lies. Every target lays a task out like this, so that addresses in structs are the same
 * number everywhere and a program that prints or compares them needs no translation.
 */

/** Bytes of a page. */
export const PAGE = 4096;

/** Bytes that one struct of a call gets. */
export const BLOCK_SIZE = 256;

export const MEMORY = {
  /** Structs of calls, one block after the other; a hole follows. Fresh programs find zeros. */
  scratch: 0x1000_0000_0000n,
  scratchSize: 1 << 20,
  /** The same pages, read-only. */
  scratchReadonly: 0x1100_0000_0000n,
  /** Private anonymous memory to map into an IOAS; a hole follows. */
  user: 0x1200_0000_0000n,
  userSize: 16 << 20,
  /** The same kind of memory, read-only; a hole follows. */
  userReadonly: 0x1300_0000_0000n,
  userReadonlySize: 2 << 20,
  /** Nothing is ever mapped here. */
  hole: 0x1400_0000_0000n,
} as const;

/** Blocks of a program at the most: half of the scratch memory. The other half is the harness's own, and its last page is
 * kept for structs that end in front of the hole. */
export const MAX_BLOCKS = MEMORY.scratchSize / 2 / BLOCK_SIZE;
