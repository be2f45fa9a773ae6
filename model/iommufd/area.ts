/** Memory and where it is mapped: struct iopt_pages and struct iopt_area. Beside drivers/iommu/iommufd/io_pagetable.h. */
import { DmaBufFile } from "../dma-buf.ts";
import type { File } from "../kernel/file.ts";
import { Lock, LockClass, type Task } from "../kernel/lock.ts";
import { type Mm, PAGE, type Pinner } from "../kernel/mm.ts";

const pagesMutex = new LockClass("pages->mutex");
const bufferPagesMutex = new LockClass("pages->mutex of a dma-buf");

/** Whose limit on locked memory pinned pages count against: IOPT_PAGES_ACCOUNT_USER and IOPT_PAGES_ACCOUNT_MM. */
export type Accounting = "user" | "process";

/** Pages of a Pages by their numbers, both ends included. */
export interface PageRange {
  readonly firstPage: number;
  readonly lastPage: number;
}

/** What memory a mapping is of. */
export interface Memory {
  /** Address of the first byte in the caller's memory, or its offset in the file. */
  readonly address: bigint;
  readonly length: bigint;
  /** Whether DMA may write to it. */
  readonly writable: boolean;
  /** Whether it may read it; yes unless told. */
  readonly readable?: boolean;
  /** Whose limit on locked memory its pages count against; nobody's where it was mapped with CAP_IPC_LOCK. */
  readonly counted?: Accounting | null;
  /** The file that it is in; the caller's own memory unless told. */
  readonly file?: File;
  /** Who maps it. */
  readonly owner: Task;
}

/** struct iopt_pages: the memory that one call mapped. Copies of the mapping share it, so that it is pinned once. */
export class Pages implements Pinner {
  /** Where its first page begins, in the caller's memory or in the file. */
  readonly address: bigint;
  readonly file: File | null;
  /** The same file where it is a buffer that drivers share. Its memory is not pinned: it stays until it is taken back. */
  readonly buffer: DmaBufFile | null;
  /** Whether it was: from then on no page table holds anything of it. */
  revoked = false;
  /** Pages that the memory lies in, wholly or in part. */
  readonly count: number;
  readonly writable: boolean;
  readonly counted: Accounting | null;
  /** Whose memory it is, and for whom it counts: source_mm and source_task. */
  owner: Task;
  /** Mappings of it, and calls that are about to map it. */
  refs = 1;
  /** Who needs which of its pages pinned: mappings that page tables hold, and accesses. One may be there twice. */
  readonly users: PageRange[] = [];
  /** Pages that are pinned and counted: npinned. */
  pinned = 0;
  readonly mutex: Lock;

  constructor({ address, length, writable, counted, file, owner }: Memory) {
    const offset = address & (PAGE - 1n);
    this.address = address - offset;
    this.file = file ?? null;
    this.buffer = file instanceof DmaBufFile ? file : null;
    this.mutex = new Lock(this.buffer ? bufferPagesMutex : pagesMutex);
    this.count = Number((offset + length + PAGE - 1n) / PAGE);
    this.writable = writable;
    this.counted = counted ?? null;
    this.owner = owner;
  }

  /** Whether a user needs the page at an address of the caller's memory. */
  pins(mm: Mm, address: bigint): boolean {
    if (this.file || mm !== this.owner.mm) return false;
    const offset = mm.physical(address) - mm.physical(this.address);
    if (offset < 0n || offset >= BigInt(this.count) * PAGE) return false;
    const page = Number(offset / PAGE);
    return this.users.some(({ firstPage, lastPage }) => firstPage <= page && page <= lastPage);
  }

  /** The runs of pages in a range that no user has pinned, by number. */
  unpinnedIn({ firstPage, lastPage }: PageRange): PageRange[] {
    const runs: PageRange[] = [];
    let from = firstPage;
    for (const user of this.users.toSorted((a, b) => a.firstPage - b.firstPage)) {
      if (user.lastPage < from) continue;
      if (user.firstPage > lastPage) break;
      if (user.firstPage > from) runs.push({ firstPage: from, lastPage: user.firstPage - 1 });
      from = user.lastPage + 1;
    }
    if (from <= lastPage) runs.push({ firstPage: from, lastPage });
    return runs;
  }
}

/** How many pages runs have together. */
export function pagesOf(runs: readonly PageRange[]): number {
  return runs.reduce((sum, { firstPage, lastPage }) => sum + lastPage - firstPage + 1, 0);
}

/** struct iopt_area: a slice of some memory at a range of IOVA. */
export class Area implements PageRange {
  start = 0n;
  last = 0n;
  readonly pages: Pages;
  /** Where the slice begins in the pages. */
  readonly startByte: bigint;
  readonly length: bigint;
  /** Whether DMA through this mapping may write; a copy may be read-only where the memory is not. */
  readonly writable: boolean;
  /** Whether DMA through this mapping may read. */
  readonly readable: boolean;
  readonly firstPage: number;
  readonly lastPage: number;
  /** False while it is being made or removed: its range is taken, but nothing is there. */
  ready = false;
  /** Whether page tables hold it, so that it is a user of its pages: storage_domain. */
  filled = false;
  /** How often accesses have pinned some of it: num_accesses. */
  accesses = 0;
  /** How many of them no command can make let go: num_locks. */
  locks = 0;
  /** A number that tells what lies where from others; made once, because it is asked for after every call. */
  trace = 0;

  constructor(pages: Pages, startByte: bigint, length: bigint, writable: boolean, readable = true) {
    this.pages = pages;
    this.startByte = startByte;
    this.length = length;
    this.writable = writable;
    this.readable = readable;
    this.firstPage = Number(startByte / PAGE);
    this.lastPage = Number((startByte + length - 1n) / PAGE);
  }

  /** The mapping of all of some memory. */
  static of(memory: Memory): Area {
    return new Area(new Pages(memory), memory.address & (PAGE - 1n), memory.length, memory.writable, memory.readable);
  }

  place(start: bigint): void {
    this.start = start;
    this.last = start + this.length - 1n;
    this.trace = Number(BigInt.asUintN(48, start * 31n + this.length * 7n + this.address) % 0xffff_fffbn);
  }

  /** Two areas for the one, of which the first has so many bytes. They share its pages, and need of them what it needed. */
  halves(bytes: bigint): [left: Area, right: Area] {
    const { pages, startByte, length, writable, readable } = this;
    const left = new Area(pages, startByte, bytes, writable, readable);
    const right = new Area(pages, startByte + bytes, length - bytes, writable, readable);
    for (const half of [left, right]) {
      half.ready = this.ready;
      half.filled = this.filled;
    }
    if (this.filled) pages.users.splice(pages.users.indexOf(this), 1, left, right);
    pages.refs++;
    return [left, right];
  }

  /** Undoes halves. */
  reunite(left: Area, right: Area): void {
    const { pages } = this;
    if (this.filled) {
      pages.users.splice(pages.users.indexOf(left), 1, this);
      pages.users.splice(pages.users.indexOf(right), 1);
    }
    pages.refs--;
  }

  /** Address of its first byte in the caller's memory, or its offset in the file. */
  get address(): bigint {
    return this.pages.address + this.startByte;
  }

  get pageOffset(): bigint {
    return this.startByte & (PAGE - 1n);
  }
}
