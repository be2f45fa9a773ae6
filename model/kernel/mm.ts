/** The caller's address space, as far as pinning its memory goes (mm/gup.c, mm/util.c). */
import { Lock, LockClass } from "./lock.ts";
import { MEMORY } from "./memory-map.ts";
import { Unmodelled } from "./operation.ts";

/** PAGE_SIZE */
export const PAGE = 4096n;

/** What every target maps for a program; before `LAID_OUT_BEFORE` there is nothing else from the first of them on. */
const REGIONS = [
  { start: MEMORY.user, end: MEMORY.user + BigInt(MEMORY.userSize), writable: true },
  { start: MEMORY.userReadonly, end: MEMORY.userReadonly + BigInt(MEMORY.userReadonlySize), writable: false },
  { start: MEMORY.scratch, end: MEMORY.scratch + BigInt(MEMORY.scratchSize), writable: true },
  { start: MEMORY.scratchReadonly, end: MEMORY.scratchReadonly + BigInt(MEMORY.scratchSize), writable: false },
];
/** Stack and libraries are above. */
const LAID_OUT_BEFORE = 0x2000_0000_0000n;
/** TASK_SIZE_MAX with four-level page tables: no user memory from here on. */
export const USER_END = (1n << 47n) - PAGE;
/** vm.mmap_min_addr at the least: nobody's memory. */
const LOWEST_MAPPABLE = 0x1_0000n;

const mmapLock = new LockClass("mmap_lock");

/** What the pages from one on are to the caller: how many there are before a hole, and whether they can be written. */
export interface Reach {
  readonly pages: number;
  readonly writable: boolean;
}

const NOTHING: Reach = { pages: 0, writable: false };

/** struct mm_struct */
export class Mm {
  /** Pages that count against RLIMIT_MEMLOCK of the process: locked_vm, which /proc shows as VmLck. */
  lockedPages = 0;
  /** Pages that count against RLIMIT_MEMLOCK of the user: locked_vm of struct user_struct, which nothing shows. */
  userLockedPages = 0;
  /** Pages pinned through iommufd, however they count: pinned_vm, which /proc shows as VmPin. */
  pinnedPages = 0;
  readonly mmapLock = new Lock(mmapLock);

  /** What lies at an address, of `pages` pages at the most. */
  reach(address: bigint, pages: number): Reach {
    for (const { start, end, writable } of REGIONS) {
      if (address < start || address >= end) continue;
      const there = Number((end - address) / PAGE);
      return { pages: Math.min(pages, there), writable };
    }
    if (address < LOWEST_MAPPABLE || address >= USER_END) return NOTHING;
    if (address >= MEMORY.scratch && address < LAID_OUT_BEFORE) return NOTHING;
    throw new Unmodelled("mapping memory outside the regions that every target lays out");
  }
}
