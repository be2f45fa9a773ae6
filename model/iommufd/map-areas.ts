/** Placing mappings in an IOAS, whatever call asks for them. Beside drivers/iommu/iommufd/io_pagetable.c. */
import { type Clause, must } from "../kernel/clause.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { U64_MAX } from "../uapi/u64.ts";
import type { Accounting, Area } from "./area.ts";
import type { IoPagetable } from "./io-pagetable.ts";
import { READABLE, rule, WRITEABLE } from "./map.ts";
import type { Ioas, IommufdContext } from "./objects.ts";

/** Where areas are to go. */
interface Destination {
  /** The IOVA that the caller asked for; null where the kernel chooses. */
  readonly fixed: bigint | null;
  /** Where the caller is told of the choice; null where there is none to tell. */
  readonly site: ChoiceSite | null;
}

export const steps = {
  /** A mapping that nobody can use is none. */
  checkAccess(flags: number, refusedBy: Clause): void {
    must((flags & (WRITEABLE | READABLE)) !== 0, refusedBy);
  },

  /** Whose limit the memory counts against that the caller maps now. */
  countedFor(k: Kernel, { accounting }: IommufdContext): Accounting | null {
    return k.task.credentials.has("CAP_IPC_LOCK") ? null : accounting;
  },

  /**
   * iopt_map_pages: puts areas side by side into an IOAS and pins them for its hwpts, or nothing has happened.
   * `asked` refuses where the caller could not be told.
   */
  *mapAreas(k: Kernel, ioas: Ioas, areas: readonly Area[], to: Destination, asked: () => void): Operation<void> {
    try {
      yield* k.ioas.claim(k, ioas, areas, to.fixed);
      using _ = yield* k.lock(ioas.pagetable.domainsRwsem);
      if (ioas.hwpts.length > 0) yield* k.ioas.pinAreas(k, areas);
      try {
        asked();
      } catch (refusal) {
        for (const area of areas) yield* k.ioas.unpin(k, area);
        throw refusal;
      }
      yield* k.ioas.publish(k, ioas, areas, to.fixed === null ? to.site : null);
    } catch (refusal) {
      for (const area of areas) {
        yield* k.ioas.abort(k, ioas, area);
        k.ioas.putPages(k, area.pages);
      }
      throw refusal;
    }
    k.keeps(rule["IOMMUFD-MAP-14"]);
  },

  /** iopt_alloc_area_pages: takes the range, so that no other mapping can have it while the pages are pinned. */
  *claim(k: Kernel, { pagetable }: Ioas, areas: readonly Area[], fixed: bigint | null): Operation<void> {
    k.alloc();
    using _ = yield* k.lock(pagetable.iovaRwsem);
    const length = areas.reduce((sum, area) => sum + area.length, 0n);
    must((length & (pagetable.alignment - 1n)) === 0n, rule["IOMMUFD-MAP-5"]);
    let iova =
      fixed === null
        ? k.ioas.allocIova(pagetable, areas[0]?.address ?? 0n, length)
        : k.ioas.checkIova(pagetable, length, fixed);
    for (const area of areas) {
      must(area.pages.writable || !area.writable, rule["IOMMUFD-MAP-15"]);
      must((area.pageOffset & (pagetable.alignment - 1n)) === 0n, rule["IOMMUFD-MAP-12"]);
      pagetable.insert(area, iova);
      iova += area.length;
    }
    k.ioas.checkPieces(pagetable, areas);
  },

  /** What lies side by side must be aligned piece by piece, or no page table could hold it. */
  checkPieces({ alignment }: IoPagetable, areas: readonly Area[]): void {
    for (const { length } of areas) must((length & (alignment - 1n)) === 0n, rule["IOMMUFD-MAP-16"]);
  },

  /** iopt_check_iova */
  checkIova(pagetable: IoPagetable, length: bigint, iova: bigint): bigint {
    const last = iova + length - 1n;
    must((iova & (pagetable.alignment - 1n)) === 0n, rule["IOMMUFD-MAP-6"]);
    must(last <= U64_MAX, rule["IOMMUFD-MAP-7"]);
    must(!pagetable.firstReserved(iova, last), rule["IOMMUFD-MAP-8"]);
    must(!pagetable.firstArea(iova, last), rule["IOMMUFD-MAP-9"]);
    return iova;
  },

  /** iopt_alloc_iova, for memory that begins at an address. */
  allocIova(pagetable: IoPagetable, address: bigint, length: bigint): bigint {
    must(length < U64_MAX / 2n, rule["IOMMUFD-MAP-10"]);
    must((address & (pagetable.alignment - 1n)) === 0n, rule["IOMMUFD-MAP-12"]);
    const iova = pagetable.findHole(address, length);
    must(iova !== undefined, rule["IOMMUFD-MAP-11"]);
    return iova;
  },

  /** iopt_fill_domains_pages: pins all of them, or none. */
  *pinAreas(k: Kernel, areas: readonly Area[]): Operation<void> {
    try {
      for (const area of areas) yield* k.ioas.pin(k, area);
    } catch (refusal) {
      for (const area of areas) yield* k.ioas.unpin(k, area);
      throw refusal;
    }
  },

  /** The end of iopt_map_pages: the mappings are there from now on, where the kernel chose to put them. */
  *publish(k: Kernel, { pagetable }: Ioas, areas: readonly Area[], site: ChoiceSite | null): Operation<void> {
    using _ = yield* k.lock(pagetable.iovaRwsem);
    const [first] = areas;
    if (site && first) {
      const own = first.start;
      const length = areas.reduce((sum, area) => sum + area.length, 0n);
      const iova = k.choose(site, own, (value) => {
        if (value === own) return true;
        const last = value + length - 1n;
        if ((value & (pagetable.alignment - 1n)) !== 0n || last > U64_MAX) return false;
        return pagetable.isAllowed(value, last) && pagetable.isFreeFor(areas, value, last);
      });
      if (iova !== own) k.ioas.move(pagetable, areas, iova);
    }
    for (const area of areas) area.ready = true;
  },

  /** Puts areas that were only claimed somewhere else. */
  move(pagetable: IoPagetable, areas: readonly Area[], to: bigint): void {
    for (const area of areas) pagetable.remove(area);
    let iova = to;
    for (const area of areas) {
      pagetable.insert(area, iova);
      iova += area.length;
    }
  },

  /** iopt_abort_area: gives the range up again, if it was taken. */
  *abort(k: Kernel, { pagetable }: Ioas, area: Area): Operation<void> {
    using _ = yield* k.lock(pagetable.iovaRwsem);
    pagetable.remove(area);
  },
};
