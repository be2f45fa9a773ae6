/** Invariants over the memory that I/O address spaces map: it is pinned while somebody needs it, and counted as pinned. */
import { Area, type PageRange, type Pages, pagesOf } from "../../model/iommufd/area.ts";
import { everyIoas } from "./areas.ts";
import type { StateInvariant } from "./invariant.ts";

/** Memory, and what of it the mappings and accesses need that can be found. */
type Needs = Map<Pages, PageRange[]>;

/** Pages that the ranges have together, each counted once. */
function union(ranges: readonly PageRange[]): number {
  let count = 0;
  let from = 0;
  for (const { firstPage, lastPage } of ranges.toSorted((a, b) => a.firstPage - b.firstPage)) {
    const first = Math.max(from, firstPage);
    if (lastPage < first) continue;
    count += lastPage - first + 1;
    from = lastPage + 1;
  }
  return count;
}

/** Where an area belongs to no page tables, it needs nothing pinned. */
function note(needs: Needs, area: Area, isNeeded: boolean): void {
  const { pages } = area;
  let ranges = needs.get(pages);
  if (!ranges) {
    // Accesses pin what they use by themselves.
    ranges = pages.users.filter((user) => !isArea(user));
    needs.set(pages, ranges);
  }
  if (isNeeded) ranges.push(area);
}

/** Whether nobody else maps or uses the memory of an area, as mostly. */
function isItsOwn(area: Area): boolean {
  const { refs, users } = area.pages;
  return refs === 1 && (users.length === 0 || (users.length === 1 && users[0] === area));
}

const isArea = (user: PageRange): boolean => user instanceof Area;

export const pinnedWhileNeeded: StateInvariant = {
  kind: "state",
  id: "pinned-while-needed",
  title: "memory is pinned exactly while a page table or an access needs it, and what copies share is pinned once",
  broken({ machine }) {
    const shared: Needs = new Map();
    for (const { pagetable, hwpts } of everyIoas(machine)) {
      for (const area of pagetable.areas) {
        const { pages, filled } = area;
        if (filled !== hwpts.length > 0)
          return `a mapping is ${filled ? "" : "not "}held by ${hwpts.length} page tables`;
        // Buffers that drivers share stay in their place by themselves.
        const isNeeded = filled && !pages.buffer;
        if (isItsOwn(area)) {
          const needed = isNeeded ? pagesOf([area]) : 0;
          if (pages.pinned !== needed) return told(pages, needed);
        } else note(shared, area, isNeeded);
      }
    }
    for (const [pages, ranges] of shared) {
      const needed = union(ranges);
      if (pages.pinned !== needed) return told(pages, needed);
    }
    return undefined;
  },
};

const told = ({ pinned }: Pages, needed: number): string => `${pinned} pages are pinned where ${needed} are needed`;

export const pinsCounted: StateInvariant = {
  kind: "state",
  id: "pins-counted",
  title: "what is pinned through iommufd is what the process has pinned, and counts for whom it was mapped",
  broken({ machine }) {
    const shared = new Set<Pages>();
    let pinned = 0;
    let ofUser = 0;
    let ofProcess = 0;
    for (const { pagetable } of everyIoas(machine)) {
      for (const { pages } of pagetable.areas) {
        if (pages.refs > 1) {
          if (shared.has(pages)) continue;
          shared.add(pages);
        }
        pinned += pages.pinned;
        if (pages.counted === "user") ofUser += pages.pinned;
        if (pages.counted === "process") ofProcess += pages.pinned;
      }
    }
    const { mm } = machine.k;
    if (mm.pinnedPages !== pinned) return `the process has ${mm.pinnedPages} pages pinned, its mappings ${pinned}`;
    if (mm.userLockedPages !== ofUser) return `the user has ${mm.userLockedPages} pages locked, its mappings ${ofUser}`;
    // Containers count for the process as well.
    if (mm.lockedPages < ofProcess) return `the process has ${mm.lockedPages} pages locked, its mappings ${ofProcess}`;
    return undefined;
  },
};
