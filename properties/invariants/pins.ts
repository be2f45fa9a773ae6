/** Invariants over the memory that I/O address spaces map: it is pinned while somebody needs it, and counted as pinned. */

import { Area, type PageRange, type Pages, pagesOf } from "../../model/iommufd/area.ts";
import type { Mm } from "../../model/kernel/mm.ts";
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
    const pinned = new Map<Mm, number>();
    const ofProcess = new Map<Mm, number>();
    const add = (sums: Map<Mm, number>, { owner: { mm }, pinned: count }: Pages): void => {
      sums.set(mm, (sums.get(mm) ?? 0) + count);
    };
    let ofUser = 0;
    for (const { pagetable } of everyIoas(machine)) {
      for (const { pages } of pagetable.areas) {
        if (pages.refs > 1) {
          if (shared.has(pages)) continue;
          shared.add(pages);
        }
        add(pinned, pages);
        if (pages.counted === "user") ofUser += pages.pinned;
        if (pages.counted === "process") add(ofProcess, pages);
      }
    }
    const { mms, userLockedPages } = machine.k;
    for (const mm of mms) {
      const own = pinned.get(mm) ?? 0;
      if (mm.pinnedPages !== own) return `a process has ${mm.pinnedPages} pages pinned, its mappings ${own}`;
      // Containers count for the process as well.
      const counted = ofProcess.get(mm) ?? 0;
      if (mm.lockedPages < counted) return `a process has ${mm.lockedPages} pages locked, its mappings ${counted}`;
    }
    if (userLockedPages !== ofUser) return `the user has ${userLockedPages} pages locked, its mappings ${ofUser}`;
    return undefined;
  },
};
