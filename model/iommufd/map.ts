/** IOMMU_IOAS_MAP. Beside drivers/iommu/iommufd/ioas.c and io_pagetable.c. */
import { type Clause, clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { field, fieldOf, layout } from "../uapi/layout.ts";
import { type Accounting, Area } from "./area.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { type IoPagetable, U64_MAX } from "./io-pagetable.ts";
import type { IommufdFile } from "./main.ts";
import type { Ioas, IommufdContext } from "./objects.ts";

export const rule = clauses({
  "IOMMUFD-MAP-1": {
    ...IOMMUFD,
    rule: "unknown flags and a reserved field that is not zero are refused",
    errno: "EOPNOTSUPP",
    source: iommufdSource("ioas", "iommufd_ioas_map"),
  },
  "IOMMUFD-MAP-2": {
    ...IOMMUFD,
    rule: "neither iova nor length may be the largest number, even where iova is not used",
    errno: "EOVERFLOW",
    source: iommufdSource("ioas", "iommufd_ioas_map"),
  },
  "IOMMUFD-MAP-3": {
    ...IOMMUFD,
    rule: "a mapping must be readable or writable",
    errno: "EINVAL",
    source: iommufdSource("ioas", "iommufd_ioas_map"),
  },
  "IOMMUFD-MAP-4": {
    ...IOMMUFD,
    rule: "ioas_id must be the id of an IOAS",
    errno: "ENOENT",
    source: iommufdSource("ioas", "iommufd_ioas_map"),
  },
  "IOMMUFD-MAP-5": {
    ...IOMMUFD,
    rule: "the length must be a multiple of the IOAS's alignment",
    errno: "EINVAL",
    source: iommufdSource("io_pagetable", "iopt_alloc_area_pages"),
  },
  "IOMMUFD-MAP-6": {
    ...IOMMUFD,
    rule: "a fixed iova must be a multiple of the IOAS's alignment",
    errno: "EINVAL",
    source: iommufdSource("io_pagetable", "iopt_check_iova"),
  },
  "IOMMUFD-MAP-7": {
    ...IOMMUFD,
    rule: "a fixed range must not run over the end of the address space",
    errno: "EOVERFLOW",
    source: iommufdSource("io_pagetable", "iopt_check_iova"),
  },
  "IOMMUFD-MAP-8": {
    ...IOMMUFD,
    rule: "a fixed range must not touch a reserved one",
    errno: "EINVAL",
    source: iommufdSource("io_pagetable", "iopt_check_iova"),
  },
  "IOMMUFD-MAP-9": {
    ...IOMMUFD,
    rule: "a fixed range must be unused: existing mappings are not replaced",
    errno: "EEXIST",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_map",
  },
  "IOMMUFD-MAP-10": {
    ...IOMMUFD,
    rule: "the kernel places nothing that takes half of the address space or more",
    errno: "EOVERFLOW",
    source: iommufdSource("io_pagetable", "iopt_alloc_iova"),
  },
  "IOMMUFD-MAP-11": {
    ...IOMMUFD,
    rule: "where the kernel is to place the mapping, there must be room within the ranges that are allowed, aligned as well as the memory is",
    errno: "ENOSPC",
    source: iommufdSource("io_pagetable", "iopt_alloc_iova"),
  },
  "IOMMUFD-MAP-12": {
    ...IOMMUFD,
    rule: "the memory must begin at a multiple of the IOAS's alignment, within its page",
    errno: "EINVAL",
    source: iommufdSource("io_pagetable", "iopt_insert_area"),
  },
  "IOMMUFD-MAP-13": {
    ...IOMMUFD,
    rule: "the struct must be writable; where it is not, nothing is mapped",
    errno: "EFAULT",
    source: iommufdSource("ioas", "iommufd_ioas_map"),
  },
  "IOMMUFD-MAP-14": {
    ...IOMMUFD,
    rule: "iova brings where the mapping is: where it was asked for, or any place that is aligned, unused, not reserved, and allowed",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_map",
    observable: "output",
  },
  "IOMMUFD-MAP-15": {
    ...IOMMUFD,
    rule: "what was mapped to be read can't be copied to be written",
    errno: "EPERM",
    source: iommufdSource("io_pagetable", "iopt_insert_area"),
  },
  "IOMMUFD-MAP-16": {
    ...IOMMUFD,
    rule: "where several mappings are copied at once, each of them must be a multiple of the IOAS's alignment",
    errno: "EINVAL",
    source: iommufdSource("io_pagetable", "iopt_alloc_area_pages"),
  },
});

export const FIXED_IOVA = 1;
export const WRITEABLE = 2;
export const READABLE = 4;
export const ANY_MAP_FLAG = FIXED_IOVA | WRITEABLE | READABLE;

/** enum iommufd_ioas_map_flags */
export const MAP_FLAGS = {
  IOMMU_IOAS_MAP_FIXED_IOVA: FIXED_IOVA,
  IOMMU_IOAS_MAP_WRITEABLE: WRITEABLE,
  IOMMU_IOAS_MAP_READABLE: READABLE,
} as const;
/** Mostly both ways, where the caller or the kernel likes. */
export const USUAL_MAP_FLAGS = [6, 7, 6, 7, 4, 5];

const IoasMap = layout("iommu_ioas_map", {
  size: field.argsz(),
  flags: field.flags(MAP_FLAGS, ...USUAL_MAP_FLAGS),
  ioas_id: field.id("ioas"),
  __reserved: field.reserved32(),
  user_va: field.userAddress(),
  length: field.length(),
  iova: field.placedIova(),
});

const IOVA = fieldOf(IoasMap, "iova").offset;
const CHOSEN_IOVA: ChoiceSite = { at: "field", offset: IOVA, width: 8 };

export const ioasMap = ioctl<IommufdFile>({
  name: "IOMMU_IOAS_MAP",
  request: vfioRequest(0x85),
  argument: { kind: "struct", layout: IoasMap },
  on: ["iommufd"],
  since: "6.2",
  weight: 2,
  useful: (_k, { context }) => context.someIoas(),
  *run(k, { context }, { block }): Operation<number> {
    const flags = block.u32(4);
    must((flags & ~ANY_MAP_FLAG) === 0 && block.u32(12) === 0, rule["IOMMUFD-MAP-1"]);
    const length = block.u64(24);
    const iova = block.u64(IOVA);
    must(iova !== U64_MAX && length !== U64_MAX, rule["IOMMUFD-MAP-2"]);
    k.ioas.checkAccess(flags, rule["IOMMUFD-MAP-3"]);
    using ioas = k.ioas.get(context, block.u32(8), rule["IOMMUFD-MAP-4"]);
    const userAddress = block.u64(16);
    k.ioas.checkUserRange(k, userAddress, length);
    k.alloc();
    const writable = (flags & WRITEABLE) !== 0;
    const readable = (flags & READABLE) !== 0;
    const area = Area.of({ address: userAddress, length, writable, readable, counted: k.ioas.countedFor(k, context) });
    const fixed = (flags & FIXED_IOVA) !== 0 ? iova : null;
    yield* k.ioas.mapAreas(k, ioas, [area], { fixed, site: CHOSEN_IOVA }, () => {
      must(k.ioas.canAnswer(block, IoasMap.size), rule["IOMMUFD-MAP-13"]);
    });
    block.put(IOVA, 8, area.start, rule["IOMMUFD-MAP-13"]);
    return 0;
  },
});

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
