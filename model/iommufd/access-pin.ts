/** Memory that an emulated device keeps in its place, to work on it as DMA would. Beside drivers/iommu/iommufd/device.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { U64_MAX } from "../uapi/u64.ts";
import type { Area } from "./area.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { type IoPagetable, PAGE_SIZE } from "./io-pagetable.ts";
import type { Access, AccessPin, Ioas } from "./objects.ts";

const source = iommufdSource("device", "iommufd_access_pin_pages");
/** Only the selftests' accesses have a caller who asks for pages. */
const BY_TEST = { ...IOMMUFD, kconfig: ["IOMMUFD", "IOMMUFD_TEST"], source } as const;

export const rule = clauses({
  "IOMMUFD-PIN-1": { ...BY_TEST, rule: "what is to be pinned must have a length", errno: "EINVAL" },
  "IOMMUFD-PIN-2": {
    ...BY_TEST,
    rule: "what is to be pinned must not run over the end of the address space",
    errno: "EOVERFLOW",
  },
  "IOMMUFD-PIN-3": {
    ...BY_TEST,
    rule: "what is to be pinned begins at a page of the memory, and from one mapping to the next no page is cut",
    errno: "EINVAL",
  },
  "IOMMUFD-PIN-4": {
    ...BY_TEST,
    rule: "every mapping must allow what is wanted, reading or writing; the lowest that does not decides",
    errno: "EPERM",
  },
  "IOMMUFD-PIN-5": {
    ...BY_TEST,
    rule: "the range must be mapped from its begin to its end; where it is not, nothing stays pinned",
    errno: "ENOENT",
  },
  "IOMMUFD-PIN-6": {
    ...BY_TEST,
    rule: "pages stay pinned as long as the access wants them, and are pinned and counted once with those of page tables and others",
    observable: "sysfs",
  },
  "IOMMUFD-PIN-7": {
    ...BY_TEST,
    rule: "unmapping what an access has pinned makes it let go of it first",
    source: iommufdSource("device", "iommufd_access_notify_unmap"),
    observable: "later-call",
  },
  "IOMMUFD-PIN-9": {
    ...BY_TEST,
    since: "6.19",
    machine: "mock",
    rule: "a dma-buf can't be pinned: whoever lends it may take it back",
    errno: "EINVAL",
    source: iommufdSource("pages", "iopt_area_add_access"),
  },
  "IOMMUFD-PIN-8": {
    ...BY_TEST,
    rule: "where the access does not let go, nothing is unmapped",
    errno: "EDEADLK",
    source: iommufdSource("io_pagetable", "iopt_unmap_iova_range"),
    unseen: "the selftests' accesses let go when they are told to",
  },
});

/** A piece of a range that lies in one mapping. */
export interface Piece {
  readonly area: Area;
  readonly from: bigint;
  readonly to: bigint;
}

/** How often an access is asked to let go of a range before the kernel gives up. */
const MOST_TRIES = 100;

export const steps = {
  /** iommufd_access_pin_pages: what was pinned, mapping by mapping. */
  *pinAccess(k: Kernel, access: Access, start: bigint, length: bigint, write: boolean): Operation<AccessPin[]> {
    must(length !== 0n, rule["IOMMUFD-PIN-1"]);
    const last = start + length - 1n;
    must(last <= U64_MAX, rule["IOMMUFD-PIN-2"]);
    using _ = yield* k.lock(access.ioasLock);
    const { pagetable } = k.iommufdDevice.ioasOf(access);
    using _iova = yield* k.lock(pagetable.iovaRwsem);
    const taken: AccessPin[] = [];
    let next = start;
    try {
      for (const piece of k.iommufdDevice.pieces(pagetable, start, last)) {
        const { area, from, to } = piece;
        must(k.iommufdDevice.isWhole(piece, last), rule["IOMMUFD-PIN-3"]);
        must(write ? area.writable : area.readable, rule["IOMMUFD-PIN-4"]);
        must(k.iommufdDevice.staysInPlace(area), rule["IOMMUFD-PIN-9"]);
        const firstByte = area.startByte + from - area.start;
        const lastByte = area.startByte + to - area.start;
        const user = { firstPage: Number(firstByte / PAGE_SIZE), lastPage: Number(lastByte / PAGE_SIZE) };
        yield* k.ioas.pinPages(k, area.pages, user);
        area.accesses++;
        taken.push({ area, user });
        next = to + 1n;
      }
      must(next > last, rule["IOMMUFD-PIN-5"]);
    } catch (refusal) {
      yield* k.iommufdDevice.releasePins(k, taken);
      throw refusal;
    }
    k.keeps(rule["IOMMUFD-PIN-6"]);
    return taken;
  },

  /** iommufd_access_unpin_pages */
  *unpinAccess(k: Kernel, access: Access, pins: readonly AccessPin[]): Operation<void> {
    using _ = yield* k.lock(access.ioasLock);
    using _iova = yield* k.lock(k.iommufdDevice.ioasOf(access).pagetable.iovaRwsem);
    yield* k.iommufdDevice.releasePins(k, pins);
    k.keeps(rule["IOMMUFD-PIN-6"]);
  },

  /** iopt_area_remove_access */
  *releasePins(k: Kernel, pins: readonly AccessPin[]): Operation<void> {
    for (const { area, user } of pins) {
      area.accesses--;
      yield* k.ioas.unpinPages(k, area.pages, user);
    }
  },

  /** iopt_for_each_contig_area: the mappings of a range, one after the other up to the first gap. */
  *pieces(pagetable: IoPagetable, start: bigint, last: bigint): Generator<Piece, void> {
    let from = start;
    for (const area of pagetable.areasIn(start, last)) {
      if (area.start > from || !area.ready) return;
      const to = area.last < last ? area.last : last;
      yield { area, from, to };
      from = to + 1n;
    }
  },

  /** iopt_area_contig_is_aligned */
  isWhole({ area, from, to }: Piece, last: bigint): boolean {
    const begin = area.startByte + from - area.start;
    const end = area.startByte + area.length;
    return begin % PAGE_SIZE === 0n && (to === last || end % PAGE_SIZE === 0n);
  },

  /** Whether memory can be kept in its place: a buffer that drivers share may be taken back at any time. */
  staysInPlace({ pages }: Area): boolean {
    return pages.buffer === null;
  },

  /** The IOAS that an access is attached to; drivers only use it while it is. */
  ioasOf({ ioas }: Access): Ioas {
    if (!ioas) throw new Error("the driver uses an access that is attached to nothing");
    return ioas;
  },

  /**
   * The part of iopt_unmap_iova_range that comes before anything is unmapped: accesses let go of the mappings in a range.
   * `look` gives those mappings, or refuses. No lock is held meanwhile, because drivers take their own.
   */
  *dropAccesses(k: Kernel, { pagetable }: Ioas, look: () => readonly Area[]): Operation<void> {
    if (pagetable.accesses.length === 0) return;
    for (let tries = 0; ; tries++) {
      const pinned: Area[] = [];
      {
        using _ = yield* k.lock(pagetable.domainsRwsem);
        using _iova = yield* k.lock(pagetable.iovaRwsem);
        for (const area of look()) if (area.accesses > 0) pinned.push(area);
      }
      if (pinned.length === 0) return;
      must(tries <= MOST_TRIES, rule["IOMMUFD-PIN-8"]);
      for (const area of pinned) yield* k.iommufdDevice.notifyUnmap(k, pagetable, area);
    }
  },

  /** iommufd_access_notify_unmap */
  *notifyUnmap(k: Kernel, { accesses }: IoPagetable, { start, last }: Area): Operation<void> {
    for (const access of accesses) {
      using _ = access.hold();
      if (access.driver) yield* access.driver.unmap(k, start, last);
    }
    k.keeps(rule["IOMMUFD-PIN-7"]);
  },
};
