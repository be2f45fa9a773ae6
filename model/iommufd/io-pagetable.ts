/**
 * The ranges of one I/O address space: mappings, which never overlap, and reserved ranges, which may.
 * The data structure only; who may change it when is in ioas.ts. Beside drivers/iommu/iommufd/io_pagetable.c.
 */
import { Lock, LockClass } from "../kernel/lock.ts";
import { U64_MAX } from "../uapi/u64.ts";
import type { Area } from "./area.ts";
import type { Access } from "./objects.ts";

export const PAGE_SIZE = 4096n;
/** Alignment that the kernel strives for where it may choose: a transparent huge page. */
const HUGE_PAGE_SIZE = 2 << 20;

const domainsRwsem = new LockClass("iopt->domains_rwsem");
const iovaRwsem = new LockClass("iopt->iova_rwsem");

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
  /** The sum of the traces of all areas. */
  #trace = 0;
  #reserved: Reserved[] = [];
  /** By address, never overlapping. */
  #allowed: readonly Range[] = [];
  /** What addresses, lengths and offsets of mappings must be a multiple of. */
  alignment = 1n;
  /** access_list: emulated devices that reach it. */
  readonly accesses: Access[] = [];
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
  get unreserved(): Range[] {
    const unreserved: Range[] = [];
    let from = 0n;
    for (const { start, last } of this.#reserved.toSorted((a, b) => (a.start < b.start ? -1 : 1))) {
      if (start > from) unreserved.push({ start: from, last: start - 1n });
      if (last >= from) from = last + 1n;
    }
    if (from <= U64_MAX) unreserved.push({ start: from, last: U64_MAX });
    return unreserved;
  }

  /** Ranges that nobody may reserve, and where the kernel places mappings; anywhere while there are none. */
  get allowed(): readonly Range[] {
    return this.#allowed;
  }

  /** Puts other ranges in the place of those that were allowed; they must not overlap. */
  allow(ranges: readonly Range[]): void {
    this.#allowed = ranges.toSorted((a, b) => (a.start < b.start ? -1 : 1));
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

  /** Whether areas could move, side by side, to [start, last]: nothing is reserved there, and nothing else mapped. */
  isFreeFor(areas: readonly Area[], start: bigint, last: bigint): boolean {
    return !this.firstReserved(start, last) && this.areasIn(start, last).every((other) => areas.includes(other));
  }

  /** Whether the kernel may place a mapping at [start, last], as far as the allowed ranges go. */
  isAllowed(start: bigint, last: bigint): boolean {
    return this.#spans().some((span) => span.start <= start && last <= span.last);
  }

  /** Takes the range for an area; it must be free. */
  insert(area: Area, start: bigint): void {
    area.place(start);
    this.#areas.splice(this.#indexFrom(start), 0, area);
    this.#trace = (this.#trace + area.trace) | 0;
  }

  remove(area: Area): void {
    const index = this.#indexFrom(area.start);
    if (this.#areas[index] !== area) return;
    this.#areas.splice(index, 1);
    this.#trace = (this.#trace - area.trace) | 0;
  }

  /** iopt_area_split: two areas in the place of one, the first of which ends there. Page tables keep what they hold. */
  split(whole: Area, last: bigint): { readonly left: Area; readonly right: Area } {
    const [left, right] = whole.halves(last - whole.start + 1n);
    this.remove(whole);
    this.insert(left, whole.start);
    this.insert(right, last + 1n);
    return { left, right };
  }

  /** Undoes split. */
  join(whole: Area, left: Area, right: Area): void {
    whole.reunite(left, right);
    this.remove(left);
    this.remove(right);
    this.insert(whole, whole.start);
  }

  /** Whether an owner may reserve a range: nothing is mapped there, and it is not allowed to others. */
  isReservable(start: bigint, last: bigint): boolean {
    return !this.firstArea(start, last) && !this.#allowed.some((range) => range.start <= last && start <= range.last);
  }

  /** Keeps a range free for an owner; it must be reservable. */
  reserve(start: bigint, last: bigint, owner: object): void {
    this.#reserved.push({ start, last, owner });
  }

  /** Whether one of these owners keeps a range free. */
  reservedBy(owners: readonly object[]): boolean {
    return this.#reserved.some(({ owner }) => owners.includes(owner));
  }

  /** Gives up all ranges of an owner. */
  unreserve(owner: object): void {
    this.#reserved = this.#reserved.filter((range) => range.owner !== owner);
  }

  /** A number that tells these ranges from others. */
  trace(): number {
    let trace = (this.#trace + Number(this.alignment) + this.#reserved.length) | 0;
    for (const { start, last } of this.#allowed) trace = (trace * 31 + Number((start * 7n + last) & 0xffff_ffffn)) | 0;
    return trace;
  }

  /** Whether every mapping would also be right under that alignment. */
  conformsTo(alignment: bigint): boolean {
    const mask = alignment - 1n;
    return this.#areas.every((area) => ((area.start | area.length | area.pageOffset) & mask) === 0n);
  }

  /**
   * Where the kernel would put a mapping of memory at that address: the lowest free place within the allowed ranges, with as
   * much of the address's alignment as can be of use, and never in the first or last page. Undefined when there is no place.
   */
  findHole(address: bigint, length: bigint): bigint | undefined {
    const alignment = preferredAlignment(address, length);
    const offset = address & (PAGE_SIZE - 1n);
    // The kernel wants to see more than one byte.
    const room = length > 1n ? length : 2n;
    for (const span of this.#spans()) {
      let from = span.start;
      for (let index = this.#indexFrom(from); ; ) {
        const start = ((from + alignment - 1n) & ~(alignment - 1n)) | offset;
        const last = start + room - 1n;
        if (last > span.last) break;
        let area = this.#areas[index];
        while (area && area.last < start) area = this.#areas[++index];
        const obstacle = area && area.start <= last ? area : this.firstReserved(start, last);
        if (!obstacle) return start;
        from = obstacle.last + 1n;
      }
    }
    return undefined;
  }

  /** Where the kernel looks for a place: the allowed ranges, as one where they touch, or else all. */
  #spans(): readonly Range[] {
    if (this.#allowed.length === 0) return [PLACES];
    const spans: Range[] = [];
    for (const { start, last } of this.#allowed) {
      const before = spans.at(-1);
      if (before && before.last + 1n === start) spans[spans.length - 1] = { start: before.start, last };
      else spans.push({ start, last });
    }
    return spans.map(clip);
  }
}

/** The kernel places nothing in the first page, nor in the last. */
const PLACES: Range = { start: PAGE_SIZE, last: U64_MAX - PAGE_SIZE };

function clip({ start, last }: Range): Range {
  const below = start < PLACES.start;
  const above = last > PLACES.last;
  return { start: below ? PLACES.start : start, last: above ? PLACES.last : last };
}

/** The size rounded up to a power of two, but no more than the address is aligned to, nor than a huge page. */
function preferredAlignment(address: bigint, length: bigint): bigint {
  const addressBits = Number(address & BigInt(HUGE_PAGE_SIZE - 1));
  const addressAlignment = addressBits === 0 ? HUGE_PAGE_SIZE : addressBits & -addressBits;
  const size = length < HUGE_PAGE_SIZE ? 2 ** (32 - Math.clz32(Number(length) - 1)) : HUGE_PAGE_SIZE;
  return BigInt(Math.min(addressAlignment, size));
}
