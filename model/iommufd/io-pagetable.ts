/**
 * The ranges of one I/O address space: mappings, which never overlap, and reserved ranges, which may.
 * The data structure only; who may change it when is in ioas.ts. Beside drivers/iommu/iommufd/io_pagetable.c.
 */
import { Lock, LockClass } from "../kernel/lock.ts";

export const PAGE_SIZE = 4096n;
export const U64_MAX = (1n << 64n) - 1n;
/** Alignment that the kernel strives for where it may choose: a transparent huge page. */
const HUGE_PAGE_SIZE = 2 << 20;

const domainsRwsem = new LockClass("iopt->domains_rwsem");
const iovaRwsem = new LockClass("iopt->iova_rwsem");
const pagesMutex = new LockClass("pages->mutex");

/** Whose limit on locked memory pinned pages count against: IOPT_PAGES_ACCOUNT_USER and IOPT_PAGES_ACCOUNT_MM. */
export type Accounting = "user" | "process";

/** struct iopt_area with its struct iopt_pages: user memory at a range of IOVA. */
export class Area {
  start = 0n;
  last = 0n;
  /** Address of the first byte in the caller's memory. */
  readonly userAddress: bigint;
  readonly length: bigint;
  /** Whether DMA may write to it. */
  readonly writable: boolean;
  /** Whose limit on locked memory its pages count against; nobody's where it was mapped with CAP_IPC_LOCK. */
  readonly counted: Accounting | null;
  /** False while it is being made or removed: its range is taken, but nothing is there. */
  ready = false;
  pinned = false;
  readonly pagesMutex = new Lock(pagesMutex);
  /** A number that tells what lies where from others; made once, because it is asked for after every call. */
  trace = 0;

  constructor(userAddress: bigint, length: bigint, writable: boolean, counted: Accounting | null = null) {
    this.userAddress = userAddress;
    this.length = length;
    this.writable = writable;
    this.counted = counted;
  }

  place(start: bigint): void {
    this.start = start;
    this.last = start + this.length - 1n;
    this.trace = Number(BigInt.asUintN(48, start * 31n + this.length * 7n + this.userAddress) % 0xffff_fffbn);
  }

  get pageOffset(): bigint {
    return this.userAddress & (PAGE_SIZE - 1n);
  }

  /** Pages that the memory lies in, wholly or in part. */
  get pages(): number {
    return Number((this.pageOffset + this.length + PAGE_SIZE - 1n) / PAGE_SIZE);
  }
}

/** Inclusive on both ends, so that a range may reach to the end of the address space. */
export interface Range {
  readonly start: bigint;
  readonly last: bigint;
}

interface Reserved extends Range {
  /** Who needs it kept free: a device, or an hwpt for what lies outside its aperture. */
  readonly owner: object;
}

/** struct io_pagetable */
export class IoPagetable {
  /** By address. */
  readonly #areas: Area[] = [];
  #reserved: Reserved[] = [];
  /** What addresses, lengths and offsets of mappings must be a multiple of. */
  alignment = 1n;
  readonly domainsRwsem = new Lock(domainsRwsem);
  readonly iovaRwsem = new Lock(iovaRwsem);

  /** Mappings by address, those being made or removed included. */
  get areas(): readonly Area[] {
    return this.#areas;
  }

  /** Ranges where nothing may be mapped. */
  get reserved(): readonly Range[] {
    return this.#reserved;
  }

  /** Ranges between the reserved ones, by address: all of the address space while nothing is reserved. */
  get allowed(): Range[] {
    const allowed: Range[] = [];
    let from = 0n;
    for (const { start, last } of this.#reserved.toSorted((a, b) => (a.start < b.start ? -1 : 1))) {
      if (start > from) allowed.push({ start: from, last: start - 1n });
      if (last >= from) from = last + 1n;
    }
    if (from <= U64_MAX) allowed.push({ start: from, last: U64_MAX });
    return allowed;
  }

  /** Index of the first area that ends at or after the address. */
  #indexFrom(address: bigint): number {
    let low = 0;
    let high = this.#areas.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const area = this.#areas[middle];
      if (area && area.last < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The lowest area that has a byte in [start, last]. */
  firstArea(start: bigint, last: bigint): Area | undefined {
    const area = this.#areas[this.#indexFrom(start)];
    return area && area.start <= last ? area : undefined;
  }

  /** All areas that have a byte in [start, last], by address. */
  areasIn(start: bigint, last: bigint): Area[] {
    const from = this.#indexFrom(start);
    let to = from;
    for (let area = this.#areas[to]; area && area.start <= last; area = this.#areas[to]) to++;
    return this.#areas.slice(from, to);
  }

  /** The first reserved range found that has a byte in [start, last]. */
  firstReserved(start: bigint, last: bigint): Range | undefined {
    for (const range of this.#reserved) {
      if (range.start <= last && start <= range.last) return range;
    }
    return undefined;
  }

  /** Whether an area could move to [start, last]: nothing is reserved there, and nothing else mapped. */
  isFreeFor(area: Area, start: bigint, last: bigint): boolean {
    return !this.firstReserved(start, last) && this.areasIn(start, last).every((other) => other === area);
  }

  /** Takes the range for an area; it must be free. */
  insert(area: Area, start: bigint): void {
    area.place(start);
    this.#areas.splice(this.#indexFrom(start), 0, area);
  }

  remove(area: Area): void {
    const index = this.#areas.indexOf(area);
    if (index >= 0) this.#areas.splice(index, 1);
  }

  /** Keeps a range free for an owner. False when something is mapped there; then nothing has changed. */
  reserve(start: bigint, last: bigint, owner: object): boolean {
    if (this.firstArea(start, last)) return false;
    this.#reserved.push({ start, last, owner });
    return true;
  }

  /** Gives up all ranges of an owner. */
  unreserve(owner: object): void {
    this.#reserved = this.#reserved.filter((range) => range.owner !== owner);
  }

  /** A number that tells these ranges from others. */
  trace(): number {
    let trace = Number(this.alignment) + this.#reserved.length;
    for (const area of this.#areas) trace = (trace * 31 + area.trace + (area.pinned ? 1 : 0)) >>> 0;
    return trace;
  }

  /** Whether every mapping would also be right under that alignment. */
  conformsTo(alignment: bigint): boolean {
    const mask = alignment - 1n;
    return this.#areas.every((area) => ((area.start | area.length | area.pageOffset) & mask) === 0n);
  }

  /**
   * Where the kernel would put a mapping of the caller's memory: the lowest free place, with as much of the user
   * address's alignment as can be of use, and never in the first or last page. Undefined when there is no place.
   */
  findHole(userAddress: bigint, length: bigint): bigint | undefined {
    const lastAllowed = U64_MAX - PAGE_SIZE;
    const alignment = preferredAlignment(userAddress, length);
    let from = PAGE_SIZE;
    for (;;) {
      const start = ((from + alignment - 1n) & ~(alignment - 1n)) | (userAddress & (PAGE_SIZE - 1n));
      const last = start + length - 1n;
      if (last > lastAllowed) return undefined;
      const obstacle = this.firstArea(start, last) ?? this.firstReserved(start, last);
      if (!obstacle) return start;
      from = obstacle.last + 1n;
    }
  }
}

/** The size rounded up to a power of two, but no more than the user address is aligned to, nor than a huge page. */
function preferredAlignment(userAddress: bigint, length: bigint): bigint {
  const addressBits = Number(userAddress & BigInt(HUGE_PAGE_SIZE - 1));
  const addressAlignment = addressBits === 0 ? HUGE_PAGE_SIZE : addressBits & -addressBits;
  const size = length < HUGE_PAGE_SIZE ? 2 ** (32 - Math.clz32(Number(length) - 1)) : HUGE_PAGE_SIZE;
  return BigInt(Math.min(addressAlignment, size));
}
