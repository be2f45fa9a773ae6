/** Invariants over what is mapped in I/O address spaces: where mappings may lie. */
import { hex } from "../../model/format/values.ts";
import type { Area } from "../../model/iommufd/area.ts";
import type { IoPagetable } from "../../model/iommufd/io-pagetable.ts";
import type { Ioas } from "../../model/iommufd/objects.ts";
import type { Machine } from "../../model/machine.ts";
import type { StateInvariant } from "./invariant.ts";

/** Every IOAS that there is. */
export function* everyIoas({ k }: Machine): Generator<Ioas> {
  for (const { objects } of k.iommufdContexts.values()) {
    for (const object of objects.values()) if (object.kind === "ioas") yield object;
  }
}

/**
 * The mappings of an IOAS that were not there at the last look, with a neighbour on either side. A program may have hundreds,
 * and a call changes few.
 */
class Changes {
  readonly #seen = new WeakMap<IoPagetable, readonly Area[]>();

  *of(pagetable: IoPagetable): Generator<Area> {
    const { areas } = pagetable;
    const before = this.#seen.get(pagetable) ?? [];
    let from = 0;
    while (from < areas.length && areas[from] === before[from]) from++;
    let same = 0;
    const most = Math.min(areas.length, before.length) - from;
    while (same < most && areas[areas.length - 1 - same] === before[before.length - 1 - same]) same++;
    if (from === areas.length && areas.length === before.length) return;
    this.#seen.set(pagetable, areas.slice());
    const to = Math.min(areas.length, areas.length - same + 1);
    for (let at = Math.max(0, from - 1); at < to; at++) {
      const area = areas[at];
      if (area) yield area;
    }
  }
}

const apart = new Changes();

export const areasApart: StateInvariant = {
  kind: "state",
  id: "areas-apart",
  title: "mappings of an IOAS never overlap, and end before the address space does",
  broken({ machine }) {
    for (const { pagetable } of everyIoas(machine)) {
      let end = -1n;
      for (const { start, last } of apart.of(pagetable)) {
        if (start <= end) return `the mapping at ${hex(start)} overlaps the one before it`;
        if (last < start || last >= SPACE) return `the mapping at ${hex(start)} runs over the end of the address space`;
        end = last;
      }
    }
    return undefined;
  },
};

const SPACE = 1n << 64n;

const moved = new Changes();

/** What was reserved, allowed and demanded of an IOAS at the last look: where it changes, all mappings are looked at. */
const bounds = new WeakMap<IoPagetable, readonly unknown[]>();

function boundsChanged(pagetable: IoPagetable): boolean {
  const now = [pagetable.reserved, pagetable.reserved.length, pagetable.allowed, pagetable.alignment];
  const before = bounds.get(pagetable);
  if (before && now.every((bound, at) => bound === before[at])) return false;
  bounds.set(pagetable, now);
  return true;
}

export const areasInReach: StateInvariant = {
  kind: "state",
  id: "areas-in-reach",
  title:
    "nothing is mapped where a range is reserved, nor reserved where one is allowed, and mappings are aligned as the IOAS asks",
  broken({ machine }) {
    for (const { pagetable } of everyIoas(machine)) {
      const all = boundsChanged(pagetable);
      const mask = pagetable.alignment - 1n;
      for (const area of all ? pagetable.areas : moved.of(pagetable)) {
        if (pagetable.firstReserved(area.start, area.last)) return `${hex(area.start)} is mapped and reserved`;
        if (((area.start | area.length | area.pageOffset) & mask) !== 0n) return `${hex(area.start)} is not aligned`;
      }
      if (!all) continue;
      for (const { start, last } of pagetable.allowed) {
        if (pagetable.firstReserved(start, last)) return `${hex(start)} is allowed and reserved`;
      }
    }
    return undefined;
  },
};
