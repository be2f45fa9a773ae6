/** The caller's address space, as far as pinning its memory goes (mm/gup.c, mm/util.c). */
import type { AccessWidth } from "../program.ts";
import { numberIn, writeValue } from "../uapi/layout.ts";
import { must } from "./clause.ts";
import { Lock, LockClass } from "./lock.ts";
import { MemoryContent } from "./memory-content.ts";
import { MEMORY } from "./memory-map.ts";
import { Unmodelled } from "./operation.ts";
import type { UserBlock } from "./user-memory.ts";
import { rule as vfsRule } from "./vfs.ts";

/** PAGE_SIZE */
export const PAGE = 4096n;

interface Region {
  readonly start: bigint;
  readonly end: bigint;
  readonly writable: boolean;
  /** Private memory, whose pages are the zero page until they are written. */
  readonly anonymous: boolean;
}

function region(start: bigint, size: number, kind: Pick<Region, "writable" | "anonymous">): Region {
  return { start, end: start + BigInt(size), ...kind };
}

/** What every target maps for a program; before `LAID_OUT_BEFORE` there is nothing else from the first of them on. */
const REGIONS = [
  region(MEMORY.user, MEMORY.userSize, { writable: true, anonymous: true }),
  region(MEMORY.userReadonly, MEMORY.userReadonlySize, { writable: false, anonymous: true }),
  region(MEMORY.scratch, MEMORY.scratchSize, { writable: true, anonymous: false }),
  region(MEMORY.scratchReadonly, MEMORY.scratchSize, { writable: false, anonymous: false }),
];
/** Stack and libraries are above. */
const LAID_OUT_BEFORE = 0x2000_0000_0000n;
/** TASK_SIZE_MAX with four-level page tables: no user memory from here on. */
export const USER_END = (1n << 47n) - PAGE;
/** vm.mmap_min_addr at the least: nobody's memory. */
const LOWEST_MAPPABLE = 0x1_0000n;

const mmapLock = new LockClass("mmap_lock");

/** What the pages from one on are to the caller. */
export interface Reach {
  /** How many there are before a hole. */
  readonly pages: number;
  readonly writable: boolean;
  readonly anonymous: boolean;
}

const NOTHING: Reach = { pages: 0, writable: false, anonymous: false };

/** Bytes of memory that are looked at together: as much as structs that programs keep there seldom exceed. */
const FETCHED_AT_ONCE = 4096;

/** Pages that type1 asks for at once: VFIO_BATCH_MAX_CAPACITY. */
const BATCH = 512;

/** What keeps memory in its place, each page once (mm/gup.c:pin_user_pages). */
export interface Pinner {
  /** Whether the page at an address is among it. */
  pins(mm: Mm, address: bigint): boolean;
}

/** struct mm_struct */
export class Mm {
  /** Pages that count against RLIMIT_MEMLOCK of the process: locked_vm, which /proc shows as VmLck. */
  lockedPages = 0;
  /** Who has pinned something. */
  readonly pinners = new Set<Pinner>();
  /** Pages pinned through iommufd, however they count: pinned_vm, which /proc shows as VmPin. */
  pinnedPages = 0;
  readonly content = new MemoryContent();
  readonly mmapLock = new Lock(mmapLock);
  /** Whether its process has ended: nothing can be pinned any more, and what is pinned stays. */
  gone = false;
  /** Whether there has been another process, with the same memory for structs. What either has pinned is its own. */
  forked = false;
  /** Numbers of private pages that were written. */
  readonly #own = new Set<number>();
  #ownKnown = true;
  /** Numbers of private pages that were read, and that may be the zero page. */
  readonly #seen = new Set<number>();
  #presenceKnown = true;

  /** dup_mm: the memory of a process that this one makes. It holds the same, and nothing of it is pinned or counted. */
  fork(): Mm {
    const child = new Mm();
    child.content.copyFrom(this.content);
    for (const page of this.#own) child.#own.add(page);
    child.#ownKnown = this.#ownKnown;
    child.forked = true;
    this.forked = true;
    return child;
  }

  /** What lies at an address, of `pages` pages at the most. */
  reach(address: bigint, pages: number): Reach {
    for (const { start, end, writable, anonymous } of REGIONS) {
      if (address < start || address >= end) continue;
      const there = Number((end - address) / PAGE);
      return { pages: Math.min(pages, there), writable, anonymous };
    }
    if (address < LOWEST_MAPPABLE || address >= USER_END) return NOTHING;
    if (address >= MEMORY.scratch && address < LAID_OUT_BEFORE) return NOTHING;
    throw new Unmodelled("mapping memory outside the regions that every target lays out");
  }

  /** What the process loads from its own memory. */
  load(address: bigint, width: AccessWidth): bigint {
    this.#check(address, width);
    this.#seen.add(Number(address / PAGE));
    return numberIn(this.content.read(address, width));
  }

  /** What it stores there, which makes a private page its own. */
  store(address: bigint, width: AccessWidth, value: bigint): void {
    this.#check(address, width);
    must(this.reach(address, 1).writable, vfsRule["VFS-MMAP-2"]);
    const bytes = new Uint8Array(width);
    writeValue(new DataView(bytes.buffer), 0, width, value);
    this.content.write(address, bytes);
    this.makeOwn(address, 1, Number.POSITIVE_INFINITY);
  }

  /** Bytes of the program's own memory from an address on, and whether they can be written. */
  roomAt(address: bigint): { readonly room: number; readonly writable: boolean } {
    const found = REGIONS.find(({ start, end }) => address >= start && address < end);
    return found ? { room: Number(found.end - address), writable: found.writable } : { room: 0, writable: false };
  }

  /** Brings at least so many bytes of the program's own memory into a block, beside what the call has written there. */
  bringMore(block: UserBlock, bytes: number): void {
    this.forgetPresence();
    const address = BigInt(block.address);
    const size = Math.min(block.readable, Math.max(FETCHED_AT_ONCE, 2 * bytes));
    const known = this.content.known(address, size);
    if (known < bytes) throw new Unmodelled("memory that was written in part");
    const held = this.content.read(address, known);
    held.set(block.bytes.subarray(block.touchedFrom, block.touchedTo), block.touchedFrom);
    block.bytes = held;
    block.view = new DataView(held.buffer);
  }

  /** Has memory hold what a call wrote to a block in it, as far as that is known. */
  takeBack({ address, bytes, touchedFrom, touchedTo, definedUpTo }: UserBlock): void {
    if (touchedTo === 0) return;
    // What a call answers, wherever its caller wants it, is no change of state.
    const { writes } = this.content;
    const from = BigInt(address + touchedFrom);
    const defined = Math.max(Math.min(touchedTo, definedUpTo), touchedFrom);
    if (defined > touchedFrom) this.content.write(from, bytes.subarray(touchedFrom, defined));
    if (touchedTo > defined) this.content.forget(BigInt(address + defined), touchedTo - defined);
    this.content.writes = writes;
    const pages = Math.ceil((Number(from % PAGE) + touchedTo - touchedFrom) / Number(PAGE));
    this.makeOwn(from, pages, Number.POSITIVE_INFINITY);
  }

  /** An access lies in a page. */
  #check(address: bigint, width: AccessWidth): void {
    if (address % BigInt(width) !== 0n) throw new Unmodelled("memory that is accessed across its own width");
  }

  /** What tells the byte behind an address from others: memory that lies at two addresses goes by the first. */
  physical(address: bigint): bigint {
    const { scratch, scratchReadonly, scratchSize, user } = MEMORY;
    if (this.forked && address < user && address >= scratch) throw new Unmodelled("memory that processes share");
    const offset = address - scratchReadonly;
    return offset >= 0n && offset < BigInt(scratchSize) ? scratch + offset : address;
  }

  /** How many keep the page at an address in its place. */
  pinsOf(address: bigint): number {
    let count = 0;
    for (const pinner of this.pinners) if (pinner.pins(this, address)) count++;
    return count;
  }

  /** What of that can be pinned, for devices that write or only read. */
  pinnable(address: bigint, pages: number, write: boolean): Reach {
    const reach = this.reach(address, pages);
    return write && !reach.writable ? NOTHING : reach;
  }

  /**
   * Notes that private pages were asked for to be written, which makes them memory of the process's own. Where there was
   * only room for some, as many as had been asked for by then.
   */
  makeOwn(address: bigint, pages: number, room: number): void {
    const asked = pages <= room ? pages : Math.min(pages, Math.ceil((Math.max(room, 0) + 1) / BATCH) * BATCH);
    const first = Number(address / PAGE);
    for (let i = 0; i < asked; i++) this.#own.add(first + i);
  }

  /** Whether a page of private memory is there for devices that share it: nobody has touched it before that. */
  isPresent(address: bigint, write: boolean): boolean {
    const page = Number(address / PAGE);
    const { pages, writable, anonymous } = this.reach(address, 1);
    if (pages === 0 || (write && !writable)) return false;
    if (!anonymous || !this.#ownKnown || this.forked) throw new Unmodelled("whether a page has been touched");
    if (this.#own.has(page) || (!write && this.#seen.has(page))) return true;
    if (!this.#presenceKnown) throw new Unmodelled("whether a page has been touched");
    return false;
  }

  /** handle_mm_fault, of a page that may be had: to be written it is the process's own, to be read the zero page. Gives what takes it back. */
  fault(address: bigint, write: boolean): () => void {
    const pages = write ? this.#own : this.#seen;
    const page = Number(address / PAGE);
    if (pages.has(page)) return () => {};
    pages.add(page);
    return () => {
      pages.delete(page);
    };
  }

  /** Notes that somebody has touched pages, nobody knows which. */
  forgetPresence(): void {
    this.#presenceKnown = false;
  }

  /** Notes that private pages may have been written since, nobody knows which. */
  forgetOwn(): void {
    this.#ownKnown = false;
  }

  /** How many of these pages are memory of the process's own, not the zero page. */
  ownPages(address: bigint, pages: number): number {
    if (!this.#ownKnown) throw new Unmodelled("what a call that ran out of memory had made of private pages by then");
    const first = Number(address / PAGE);
    let count = 0;
    for (let i = 0; i < pages; i++) if (this.#own.has(first + i)) count++;
    return count;
  }
}
