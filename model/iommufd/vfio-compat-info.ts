/** VFIO_IOMMU_GET_INFO on an iommufd. Beside drivers/iommu/iommufd/vfio_compat.c:iommufd_vfio_iommu_get_info. */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { BLOCK_SIZE } from "../kernel/memory-map.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { offsetOfEnd } from "../uapi/layout.ts";
import { U64_MAX } from "../uapi/u64.ts";
import { INFO, INFO_CAP, Info } from "../vfio/type1-layouts.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { PAGE_SIZE } from "./io-pagetable.ts";
import type { Ioas, IommufdContext } from "./objects.ts";

const source = iommufdSource("vfio_compat", "iommufd_vfio_iommu_get_info");

export const rule = clauses({
  "IOMMUFD-COMPAT-INFO-1": {
    ...IOMMUFD,
    rule: "the struct must be readable as far as iova_pgsizes",
    errno: "EFAULT",
    source,
  },
  "IOMMUFD-COMPAT-INFO-2": {
    ...IOMMUFD,
    rule: "argsz must cover the struct as far as iova_pgsizes, whether there is a compatibility IOAS or not",
    errno: "EINVAL",
    source,
  },
  "IOMMUFD-COMPAT-INFO-3": {
    ...IOMMUFD,
    rule: "without a compatibility IOAS there is nothing to tell",
    errno: "ENODEV",
    source,
  },
  "IOMMUFD-COMPAT-INFO-4": {
    ...IOMMUFD,
    rule: "the struct must be writable, and what lies behind it as far as argsz lets capabilities go there",
    errno: "EFAULT",
    source,
  },
  "IOMMUFD-COMPAT-INFO-5": {
    ...IOMMUFD,
    rule: "iova_pgsizes brings the page sizes that every hwpt of the IOAS has, none below the CPU's, all without one",
    source: iommufdSource("vfio_compat", "iommufd_get_pagesizes"),
    observable: "output",
  },
  "IOMMUFD-COMPAT-INFO-6": {
    ...IOMMUFD,
    rule: "argsz brings how much the struct and its capabilities need, less than was given included",
    source,
    observable: "output",
  },
  "IOMMUFD-COMPAT-INFO-7": {
    ...IOMMUFD,
    rule: "where argsz has no room for all capabilities, cap_offset is 0, and those that fit are there all the same",
    source,
    observable: "output",
  },
  "IOMMUFD-COMPAT-INFO-8": {
    ...IOMMUFD,
    rule: "where argsz has room, two capabilities follow the struct: that there is no limit to the number of mappings, and where they may lie",
    source,
    observable: "output",
  },
  "IOMMUFD-COMPAT-INFO-9": {
    ...IOMMUFD,
    rule: "the ranges are those of IOMMU_IOAS_IOVA_RANGES, before any device is attached, too",
    source: iommufdSource("vfio_compat", "iommufd_fill_cap_iova"),
    observable: "output",
  },
});

const MINSZ = offsetOfEnd(Info, "iova_pgsizes");
/** struct vfio_iommu_type1_info_dma_avail: 12 bytes, and what aligns the next capability. */
const DMA_AVAIL = Info.size;
const DMA_AVAIL_SIZE = 12;
const IOVA_RANGE = DMA_AVAIL + 16;
/** Of struct vfio_iommu_type1_info_cap_iova_range, before its ranges. */
const IOVA_RANGE_HEADER = 16;
const RANGE_SIZE = 16;
/** Where a capability's header says where the next one is. */
const NEXT = 4;
const NO_LIMIT = 0xffff_ffff;

export const steps = {
  /** iommufd_vfio_iommu_get_info */
  *getInfo(k: Kernel, context: IommufdContext, block: UserBlock): Operation<number> {
    block.copyFrom(MINSZ, rule["IOMMUFD-COMPAT-INFO-1"]);
    const given = block.u32(0);
    must(given >= MINSZ, rule["IOMMUFD-COMPAT-INFO-2"]);
    using ioas = k.iommufd.compatIoas(context, rule["IOMMUFD-COMPAT-INFO-3"]);
    const pageSizes = yield* k.iommufd.pageSizes(k, ioas);
    using _ = yield* k.lock(ioas.pagetable.iovaRwsem);
    const end = k.iommufd.putCapabilities(k, ioas, block, given);
    const image = block.bytes.slice(0, Info.size);
    const view = new DataView(image.buffer);
    view.setUint32(0, end, true);
    view.setUint32(4, INFO.PGSIZES | INFO.CAPS, true);
    view.setBigUint64(8, pageSizes, true);
    view.setBigUint64(16, given >= end ? BigInt(Info.size) : 0n, true);
    block.copyTo(image, 0, Math.min(given, Info.size), rule["IOMMUFD-COMPAT-INFO-4"]);
    k.keeps(rule["IOMMUFD-COMPAT-INFO-5"]);
    k.keeps(rule["IOMMUFD-COMPAT-INFO-6"]);
    k.keeps(rule[given >= end ? "IOMMUFD-COMPAT-INFO-8" : "IOMMUFD-COMPAT-INFO-7"]);
    return 0;
  },

  /** iommufd_get_pagesizes, one bit each */
  *pageSizes(k: Kernel, { hwpts, pagetable }: Ioas): Operation<bigint> {
    using _ = yield* k.lock(pagetable.domainsRwsem);
    let sizes = hwpts.reduce((common, hwpt) => common & hwpt.pageSizes, U64_MAX);
    if ((sizes & (PAGE_SIZE - 1n)) !== 0n) sizes = (sizes & ~(PAGE_SIZE - 1n)) | PAGE_SIZE;
    if (sizes < pagetable.alignment) return pagetable.alignment;
    return sizes;
  },

  /**
   * iommufd_fill_cap_dma_avail and iommufd_fill_cap_iova: puts what fits in `given` bytes behind the struct, one piece after
   * the other, and gives how many bytes all of it needs.
   */
  putCapabilities(k: Kernel, ioas: Ioas, block: UserBlock, given: number): number {
    const ranges = k.ioas.allowedRanges(ioas);
    const end = IOVA_RANGE + IOVA_RANGE_HEADER + ranges.length * RANGE_SIZE;
    if (Math.min(given, end) > BLOCK_SIZE) throw new Unmodelled("more capabilities than a block has room for");
    const image = new Uint8Array(Math.max(end, BLOCK_SIZE));
    const view = new DataView(image.buffer);
    view.setUint16(DMA_AVAIL, INFO_CAP.DMA_AVAIL, true);
    view.setUint16(DMA_AVAIL + 2, 1, true);
    view.setUint32(DMA_AVAIL + 8, NO_LIMIT, true);
    view.setUint16(IOVA_RANGE, INFO_CAP.IOVA_RANGE, true);
    view.setUint16(IOVA_RANGE + 2, 1, true);
    view.setUint32(IOVA_RANGE + 8, ranges.length, true);
    const put = (from: number, to: number): void => {
      if (given >= to) block.copyTo(image, from, to, rule["IOMMUFD-COMPAT-INFO-4"]);
    };
    put(DMA_AVAIL, DMA_AVAIL + DMA_AVAIL_SIZE);
    if (given >= IOVA_RANGE) block.put(DMA_AVAIL + NEXT, 4, IOVA_RANGE, rule["IOMMUFD-COMPAT-INFO-4"]);
    for (const [i, { start, last }] of ranges.entries()) {
      const from = IOVA_RANGE + IOVA_RANGE_HEADER + i * RANGE_SIZE;
      view.setBigUint64(from, start, true);
      view.setBigUint64(from + 8, last, true);
      put(from, from + RANGE_SIZE);
    }
    // The header of the ranges comes last, and where some of them have no room not at all.
    if (given >= end) block.copyTo(image, IOVA_RANGE, IOVA_RANGE + IOVA_RANGE_HEADER, rule["IOMMUFD-COMPAT-INFO-4"]);
    k.keeps(rule["IOMMUFD-COMPAT-INFO-9"]);
    return end;
  },
};
