/** VFIO_IOMMU_MAP_DMA and VFIO_IOMMU_UNMAP_DMA on an iommufd. Beside drivers/iommu/iommufd/vfio_compat.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { offsetOfEnd } from "../uapi/layout.ts";
import { U64_MAX } from "../uapi/u64.ts";
import { DmaMap, DmaUnmap, MAP, UNMAP } from "../vfio/type1-layouts.ts";
import { Area } from "./area.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { IoPagetable } from "./io-pagetable.ts";
import type { Ioas, IommufdContext } from "./objects.ts";
import { rule as unmapRule } from "./unmap.ts";

const mapSource = iommufdSource("vfio_compat", "iommufd_vfio_map_dma");
const unmapSource = iommufdSource("vfio_compat", "iommufd_vfio_unmap_dma");
const splitSource = iommufdSource("io_pagetable", "iopt_area_split");

export const rule = clauses({
  "IOMMUFD-COMPAT-MAP-1": { ...IOMMUFD, rule: "the struct must be readable", errno: "EFAULT", source: mapSource },
  "IOMMUFD-COMPAT-MAP-2": {
    ...IOMMUFD,
    rule: "argsz must cover the struct, and only READ and WRITE are flags: VADDR is not",
    errno: "EINVAL",
    source: mapSource,
  },
  "IOMMUFD-COMPAT-MAP-3": {
    ...IOMMUFD,
    rule: "without a compatibility IOAS nothing can be mapped",
    errno: "ENODEV",
    source: mapSource,
  },
  "IOMMUFD-COMPAT-MAP-4": {
    ...IOMMUFD,
    rule: "a mapping must be readable or writable",
    errno: "EINVAL",
    source: "include/uapi/linux/vfio.h:VFIO_IOMMU_MAP_DMA",
  },
  "IOMMUFD-COMPAT-MAP-5": {
    ...IOMMUFD,
    rule: "the range is mapped in the compatibility IOAS, where iommufd's own commands find it, without a limit to their number",
    source: mapSource,
    observable: "later-call",
  },
  "IOMMUFD-COMPAT-UNMAP-1": { ...IOMMUFD, rule: "the struct must be readable", errno: "EFAULT", source: unmapSource },
  "IOMMUFD-COMPAT-UNMAP-2": {
    ...IOMMUFD,
    rule: "argsz must cover the struct, and only ALL is a flag: neither GET_DIRTY_BITMAP nor VADDR is",
    errno: "EINVAL",
    source: unmapSource,
  },
  "IOMMUFD-COMPAT-UNMAP-3": {
    ...IOMMUFD,
    rule: "without a compatibility IOAS nothing can be unmapped",
    errno: "ENODEV",
    source: unmapSource,
  },
  "IOMMUFD-COMPAT-UNMAP-4": {
    ...IOMMUFD,
    rule: "with ALL, iova and size must be 0",
    errno: "EINVAL",
    source: "include/uapi/linux/vfio.h:VFIO_IOMMU_UNMAP_DMA",
  },
  "IOMMUFD-COMPAT-UNMAP-5": {
    ...IOMMUFD,
    rule: "a mapping can be cut between pages only",
    errno: "EINVAL",
    source: splitSource,
  },
  "IOMMUFD-COMPAT-UNMAP-6": {
    ...IOMMUFD,
    rule: "a mapping that another task is making or removing can't be cut",
    errno: "EBUSY",
    source: splitSource,
    unseen: "programs have one task",
  },
  "IOMMUFD-COMPAT-UNMAP-7": {
    ...IOMMUFD,
    rule: "the struct must be writable; where it is not, nothing is unmapped or cut",
    errno: "EFAULT",
    source: unmapSource,
  },
  "IOMMUFD-COMPAT-UNMAP-8": {
    ...IOMMUFD,
    rule: "every mapping in the range is gone, and size brings how many bytes that were; there need be none",
    source: "include/uapi/linux/vfio.h:VFIO_IOMMU_UNMAP_DMA",
    observable: "output",
  },
  "IOMMUFD-COMPAT-UNMAP-9": {
    ...IOMMUFD,
    rule: "once VFIO_TYPE1_IOMMU was chosen, a range may begin and end inside of mappings: what lies outside of it stays",
    source: iommufdSource("io_pagetable", "iopt_cut_iova"),
    observable: "output",
  },
  "IOMMUFD-COMPAT-UNMAP-11": {
    since: "6.2",
    kconfig: ["IOMMUFD", "IOMMUFD_TEST"],
    rule: "once VFIO_TYPE1_IOMMU was chosen, what an access has pinned can't be cut",
    errno: "EINVAL",
    source: iommufdSource("io_pagetable", "iopt_area_split"),
  },
  "IOMMUFD-COMPAT-UNMAP-12": {
    ...IOMMUFD,
    since: "6.19",
    kconfig: ["IOMMUFD", "IOMMUFD_TEST"],
    machine: "mock",
    rule: "a mapping of a dma-buf can't be cut",
    errno: "EOPNOTSUPP",
    source: iommufdSource("io_pagetable", "iopt_area_split"),
  },
  "IOMMUFD-COMPAT-UNMAP-10": {
    ...IOMMUFD,
    rule: "where the range itself is refused, size brings 0",
    source: unmapSource,
    observable: "output",
  },
});

const UNMAP_MINSZ = offsetOfEnd(DmaUnmap, "size");
const UNMAP_SIZE = UNMAP_MINSZ - 8;

/** A mapping that was cut, and the two that are in its place. */
interface Cut {
  readonly whole: Area;
  readonly left: Area;
  readonly right: Area;
}

export const steps = {
  /** iommufd_vfio_map_dma: IOMMU_IOAS_MAP at a fixed place of the compatibility IOAS. */
  *mapDma(k: Kernel, context: IommufdContext, block: UserBlock): Operation<number> {
    block.copyFrom(DmaMap.size, rule["IOMMUFD-COMPAT-MAP-1"]);
    const flags = block.u32(4);
    must(block.u32(0) >= DmaMap.size, rule["IOMMUFD-COMPAT-MAP-2"]);
    must((flags & ~(MAP.READ | MAP.WRITE)) === 0, rule["IOMMUFD-COMPAT-MAP-2"]);
    using ioas = k.iommufd.compatIoas(context, rule["IOMMUFD-COMPAT-MAP-3"]);
    k.iommufd.checkDmaAccess(flags);
    const address = block.u64(8);
    const length = block.u64(24);
    k.ioas.checkUserRange(k, address, length);
    const writable = (flags & MAP.WRITE) !== 0;
    const readable = (flags & MAP.READ) !== 0;
    const area = Area.of({
      address,
      length,
      writable,
      readable,
      counted: k.ioas.countedFor(k, context),
      owner: k.task,
    });
    yield* k.ioas.mapAreas(k, ioas, [area], { fixed: block.u64(16), site: null }, () => {});
    k.keeps(rule["IOMMUFD-COMPAT-MAP-5"]);
    return 0;
  },

  /** READ and WRITE are the devices' access: at least one must be given. */
  checkDmaAccess(flags: number): void {
    must((flags & (MAP.READ | MAP.WRITE)) !== 0, rule["IOMMUFD-COMPAT-MAP-4"]);
  },

  /** iommufd_vfio_unmap_dma */
  *unmapDma(k: Kernel, context: IommufdContext, block: UserBlock): Operation<number> {
    block.copyFrom(UNMAP_MINSZ, rule["IOMMUFD-COMPAT-UNMAP-1"]);
    const flags = block.u32(4);
    must(block.u32(0) >= UNMAP_MINSZ && (flags & ~UNMAP.ALL) === 0, rule["IOMMUFD-COMPAT-UNMAP-2"]);
    using ioas = k.iommufd.compatIoas(context, rule["IOMMUFD-COMPAT-UNMAP-3"]);
    const all = flags === UNMAP.ALL;
    const iova = block.u64(8);
    const size = block.u64(UNMAP_SIZE);
    if (all) must(iova === 0n && size === 0n, rule["IOMMUFD-COMPAT-UNMAP-4"]);
    const cuts = ioas.disableLargePages && !all ? yield* k.iommufd.cutAround(k, ioas, iova, size) : [];
    let unmapped: bigint;
    try {
      const last = all ? U64_MAX : iova + size - 1n;
      must(all || size !== 0n, unmapRule["IOMMUFD-UNMAP-3"]);
      must(last <= U64_MAX, unmapRule["IOMMUFD-UNMAP-4"]);
      const look = (): readonly Area[] => {
        const found = k.iommufd.areasToUnmap(k, ioas.pagetable, iova, last);
        must(k.ioas.canAnswer(block, UNMAP_MINSZ), rule["IOMMUFD-COMPAT-UNMAP-7"]);
        return found;
      };
      unmapped = yield* k.ioas.unmapRange(k, ioas, look);
    } catch (refusal) {
      k.iommufd.mend(ioas.pagetable, cuts);
      block.put(UNMAP_SIZE, 8, k.iommufd.unmappedDespite(refusal), rule["IOMMUFD-COMPAT-UNMAP-7"]);
      k.keeps(rule["IOMMUFD-COMPAT-UNMAP-10"]);
      throw refusal;
    }
    block.put(UNMAP_SIZE, 8, unmapped, rule["IOMMUFD-COMPAT-UNMAP-7"]);
    k.keeps(rule[cuts.length > 0 ? "IOMMUFD-COMPAT-UNMAP-9" : "IOMMUFD-COMPAT-UNMAP-8"]);
    return 0;
  },

  /** The mappings in a range, of which there need be none. Refuses when one of them reaches out of it. */
  areasToUnmap(k: Kernel, pagetable: IoPagetable, start: bigint, last: bigint): Area[] {
    return k.ioas.wholeAreas(pagetable, start, last);
  },

  /** How many bytes are unmapped though the call is refused. */
  unmappedDespite(_refusal: unknown): bigint {
    return 0n;
  },

  /** iopt_cut_iova, at the end of a range and then before its begin: what was cut. Where one cut is refused, none is made. */
  *cutAround(k: Kernel, { pagetable }: Ioas, iova: bigint, size: bigint): Operation<readonly Cut[]> {
    using _ = yield* k.lock(pagetable.iovaRwsem);
    const cuts: Cut[] = [];
    try {
      for (const last of [BigInt.asUintN(64, iova + size - 1n), ...(iova === 0n ? [] : [iova - 1n])]) {
        const whole = pagetable.firstArea(last, last);
        if (!whole || last === whole.start || last === whole.last) continue;
        must(whole.ready, rule["IOMMUFD-COMPAT-UNMAP-6"]);
        must(!whole.pages.buffer, rule["IOMMUFD-COMPAT-UNMAP-12"]);
        must(((last + 1n) & (pagetable.alignment - 1n)) === 0n, rule["IOMMUFD-COMPAT-UNMAP-5"]);
        k.alloc();
        must(whole.accesses === 0, rule["IOMMUFD-COMPAT-UNMAP-11"]);
        cuts.push({ whole, ...pagetable.split(whole, last) });
      }
    } catch (refusal) {
      k.iommufd.mend(pagetable, cuts);
      throw refusal;
    }
    return cuts;
  },

  /** Makes mappings whole again that were cut for a call which is then refused. */
  mend(pagetable: IoPagetable, cuts: readonly Cut[]): void {
    for (const { whole, left, right } of cuts.toReversed()) pagetable.join(whole, left, right);
  },
};
