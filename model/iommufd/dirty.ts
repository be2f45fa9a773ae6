/** IOMMU_HWPT_SET_DIRTY_TRACKING and IOMMU_HWPT_GET_DIRTY_BITMAP. Beside drivers/iommu/iommufd/hw_pagetable.c and io_pagetable.c. */
import { type Clause, clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { PAGE } from "../kernel/mm.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { field, layout } from "../uapi/layout.ts";
import { U64_MAX } from "../uapi/u64.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { DirtyLog } from "./dirty-log.ts";
import type { IommufdFile } from "./file.ts";
import type { IoPagetable, Range } from "./io-pagetable.ts";
import type { Hwpt, IommufdContext } from "./objects.ts";

const source = (name: string) => iommufdSource("io_pagetable", name);
const HEADER = "include/uapi/linux/iommufd.h:iommu_hwpt_get_dirty_bitmap";
const DIRTY = { ...IOMMUFD, since: "6.7" } as const;
/** No IOMMU of the machines with one tells what was written. */
const TELLING = { ...DIRTY, kconfig: ["IOMMUFD", "IOMMUFD_TEST"], machine: "mock" } as const;

export const rule = clauses({
  "IOMMUFD-TRACK-1": {
    ...DIRTY,
    rule: "unknown flags and a reserved field that is not zero are refused",
    errno: "EOPNOTSUPP",
    source: "include/uapi/linux/iommufd.h:iommu_hwpt_set_dirty_tracking",
  },
  "IOMMUFD-TRACK-2": {
    ...DIRTY,
    rule: "hwpt_id must be the id of a page table that is filled from an IOAS",
    errno: "ENOENT",
    source: iommufdSource("hw_pagetable", "iommufd_hwpt_set_dirty_tracking"),
  },
  "IOMMUFD-TRACK-3": {
    ...DIRTY,
    rule: "the page table must have been asked for with IOMMU_HWPT_ALLOC_DIRTY_TRACKING",
    errno: "EOPNOTSUPP",
    source: source("iopt_set_dirty_tracking"),
  },
  "IOMMUFD-TRACK-4": {
    ...TELLING,
    rule: "what was written before tracking was switched on does not count, also where it was on already",
    source: source("iopt_set_dirty_tracking"),
    observable: "later-call",
  },
  "IOMMUFD-BITMAP-1": {
    ...DIRTY,
    rule: "unknown flags and a reserved field that is not zero are refused",
    errno: "EOPNOTSUPP",
    source: HEADER,
  },
  "IOMMUFD-BITMAP-2": {
    ...DIRTY,
    rule: "hwpt_id must be the id of a page table that is filled from an IOAS",
    errno: "ENOENT",
    source: iommufdSource("hw_pagetable", "iommufd_hwpt_get_dirty_bitmap"),
  },
  "IOMMUFD-BITMAP-3": {
    ...DIRTY,
    rule: "the range must not run over the end of the address space",
    errno: "EOVERFLOW",
    source: source("iommufd_check_iova_range"),
  },
  "IOMMUFD-BITMAP-4": {
    ...DIRTY,
    rule: "begin and end of the range must be multiples of the IOAS's alignment",
    errno: "EINVAL",
    source: source("iommufd_check_iova_range"),
  },
  "IOMMUFD-BITMAP-5": {
    ...DIRTY,
    rule: "a bit must stand for a page of some size",
    errno: "EINVAL",
    source: source("iommufd_check_iova_range"),
  },
  "IOMMUFD-BITMAP-6": {
    ...DIRTY,
    rule: "begin and end of the range must be multiples of page_size",
    errno: "EINVAL",
    source: source("iommufd_check_iova_range"),
  },
  "IOMMUFD-BITMAP-7": {
    ...DIRTY,
    rule: "the page table must have been asked for with IOMMU_HWPT_ALLOC_DIRTY_TRACKING",
    errno: "EOPNOTSUPP",
    source: source("iommu_read_and_clear_dirty"),
  },
  "IOMMUFD-BITMAP-8": {
    ...TELLING,
    rule: "all of the range must be mapped",
    errno: "EINVAL",
    source: source("__iommu_read_and_clear_dirty"),
  },
  "IOMMUFD-BITMAP-9": {
    ...TELLING,
    until: "6.18",
    rule: "a mock tells nothing while tracking is off",
    errno: "EINVAL",
    source: iommufdSource("selftest", "mock_domain_read_and_clear_dirty"),
  },
  "IOMMUFD-BITMAP-10": {
    ...TELLING,
    rule: "the bitmap must be writable where bits are to be set; where it is not, what was written stays so",
    errno: "EFAULT",
    source: iommufdSource("iova_bitmap", "iova_bitmap_get"),
  },
  "IOMMUFD-BITMAP-11": {
    ...TELLING,
    rule: "a bit is set for every page of the range in which something was written; other bits stay as they were",
    source: HEADER,
    observable: "output",
  },
  "IOMMUFD-BITMAP-12": {
    ...TELLING,
    rule: "what was told is clean from then on, but with IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR",
    source: HEADER,
    observable: "later-call",
  },
});

const TRACKING_ENABLE = 1;

const SetDirtyTracking = layout("iommu_hwpt_set_dirty_tracking", {
  size: field.argsz(),
  flags: field.flags({ IOMMU_HWPT_DIRTY_TRACKING_ENABLE: TRACKING_ENABLE }, TRACKING_ENABLE, TRACKING_ENABLE, 0),
  hwpt_id: field.id("hwpt"),
  __reserved: field.reserved32(),
});

export const setDirtyTracking = ioctl<IommufdFile>({
  name: "IOMMU_HWPT_SET_DIRTY_TRACKING",
  request: vfioRequest(0x8b),
  argument: { kind: "struct", layout: SetDirtyTracking },
  on: ["iommufd"],
  since: "6.7",
  weight: 0.1,
  useful: (_k, { context }) => context.some("hwpt"),
  *run(k, { context }, { block }): Operation<number> {
    const flags = block.u32(4);
    must((flags & ~TRACKING_ENABLE) === 0 && k.iommufdDevice.isReserved(block), rule["IOMMUFD-TRACK-1"]);
    using hwpt = k.iommufdDevice.getPaging(context, block.u32(8), rule["IOMMUFD-TRACK-2"]);
    must(hwpt.dirty !== null, rule["IOMMUFD-TRACK-3"]);
    using _ = yield* k.lock(hwpt.ioas.pagetable.iovaRwsem);
    if (flags & TRACKING_ENABLE) {
      hwpt.dirty.clean(0n, U64_MAX);
      k.keeps(rule["IOMMUFD-TRACK-4"]);
    }
    hwpt.dirty.tracking = (flags & TRACKING_ENABLE) !== 0;
    return 0;
  },
});

const NO_CLEAR = 1;
/** Pages of a bitmap that are pinned at once: as many as a page has room for pointers to them. */
const MOST_BITMAP_PAGES = 512;
/** Not empty, so that it is seen what is written and what is not. */
const bits = () => field.value64(0, 0, 0x8000_0000_0000_0001n);
const Bitmap = layout("dirty_bitmap", {
  bits_0: bits(),
  bits_1: bits(),
  bits_2: bits(),
  bits_3: bits(),
});

const GetDirtyBitmap = layout("iommu_hwpt_get_dirty_bitmap", {
  size: field.argsz(),
  hwpt_id: field.id("hwpt"),
  flags: field.flags({ IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR: NO_CLEAR }),
  __reserved: field.reserved32(),
  iova: field.iova(),
  length: field.length(),
  page_size: field.value64(4096, 2048, 1024, 8192, 1n << 63n, 0),
  data: field.pointer(Bitmap),
});

export const getDirtyBitmap = ioctl<IommufdFile>({
  name: "IOMMU_HWPT_GET_DIRTY_BITMAP",
  request: vfioRequest(0x8c),
  argument: { kind: "struct", layout: GetDirtyBitmap },
  on: ["iommufd"],
  since: "6.7",
  weight: 0.1,
  useful: (_k, { context }) => context.some("hwpt"),
  *run(k, { context }, { block, at }): Operation<number> {
    const flags = block.u32(8);
    must((flags & ~NO_CLEAR) === 0 && block.u32(12) === 0, rule["IOMMUFD-BITMAP-1"]);
    using hwpt = k.iommufdDevice.getPaging(context, block.u32(4), rule["IOMMUFD-BITMAP-2"]);
    const pageSize = block.u64(32);
    const range = k.iommufdDevice.bitmapRange(hwpt.ioas.pagetable, block.u64(16), block.u64(24), pageSize);
    using _ = yield* k.lock(hwpt.ioas.pagetable.iovaRwsem);
    const { dirty } = hwpt;
    must(dirty !== null, rule["IOMMUFD-BITMAP-7"]);
    k.alloc();
    // The kernel takes the lowest bit of a size that is no power of two; nobody says what that is to mean.
    if ((pageSize & (pageSize - 1n)) !== 0n) throw new Unmodelled("a page size that is no power of two");
    k.iommufdDevice.readDirty(k, hwpt, dirty, range, { pageSize, clear: flags === 0, bitmap: at(block.u64(40)) });
    return 0;
  },
});

/** How a bitmap is read. */
interface Reading {
  /** Bytes that a bit stands for. */
  readonly pageSize: bigint;
  readonly clear: boolean;
  readonly bitmap: UserBlock;
}

export const steps = {
  /** Whether the reserved field of IOMMU_HWPT_SET_DIRTY_TRACKING is zero, as the header asks. */
  isReserved(block: UserBlock): boolean {
    return block.u32(12) === 0;
  },

  /** iommufd_get_hwpt_paging; drop it with `using`. */
  getPaging(context: IommufdContext, id: number, refusedBy: Clause): Hwpt {
    const object = context.get(id);
    must(object?.kind === "hwpt", refusedBy);
    return object.hold();
  },

  /** iommufd_check_iova_range. A length of 0 is one less than nothing, as the kernel has it: only from address 0 on it fits. */
  bitmapRange({ alignment }: IoPagetable, start: bigint, length: bigint, pageSize: bigint): Range {
    const last = start + BigInt.asUintN(64, length - 1n);
    must(last <= U64_MAX, rule["IOMMUFD-BITMAP-3"]);
    const ends = start | BigInt.asUintN(64, last + 1n);
    must((ends & (alignment - 1n)) === 0n, rule["IOMMUFD-BITMAP-4"]);
    must(pageSize !== 0n, rule["IOMMUFD-BITMAP-5"]);
    must((ends & (pageSize - 1n)) === 0n, rule["IOMMUFD-BITMAP-6"]);
    return { start, last };
  },

  /** iommu_read_and_clear_dirty: all that was written in the range is told, or nothing has happened. */
  readDirty(k: Kernel, { ioas, driver }: Hwpt, dirty: DirtyLog, range: Range, reading: Reading): void {
    const { start, last } = range;
    must(k.iommufdDevice.mappedUpTo(ioas.pagetable, range) === last, rule["IOMMUFD-BITMAP-8"]);
    must(dirty.tracking || driver !== "mock" || k.since("6.19"), rule["IOMMUFD-BITMAP-9"]);
    const entries = dirty.within(start, last);
    const { pageSize, bitmap } = reading;
    for (const entry of entries) {
      const bit = Number((entry + dirty.pageSize - 1n - start) / pageSize);
      must(bit >> 3 < bitmap.writable, rule["IOMMUFD-BITMAP-10"]);
      bitmap.know((bit >> 3) + 1);
    }
    const [first] = entries;
    if (first !== undefined)
      k.iommufdDevice.pinBitmap(k, bitmap.address, (first - start) / pageSize, (last - start) / pageSize);
    for (const entry of entries) k.iommufdDevice.setBits(bitmap, entry - start, dirty.pageSize, pageSize);
    k.keeps(rule["IOMMUFD-BITMAP-11"]);
    if (reading.clear) dirty.clean(start, last);
    k.keeps(rule["IOMMUFD-BITMAP-12"]);
  },

  /** iopt_for_each_contig_area: the last address up to which everything in a range is mapped; below its start if nothing is. */
  mappedUpTo(pagetable: IoPagetable, { start, last }: Range): bigint {
    let reached = start - 1n;
    for (const area of pagetable.areasIn(start, last)) {
      if (!area.ready || area.start > reached + 1n) break;
      reached = area.last < last ? area.last : last;
    }
    return reached;
  },

  /** iova_bitmap_get: from the first bit that is set to the last that there is, and now and then a page more, all of it is pinned. */
  pinBitmap({ mm }: Kernel, bitmap: number, firstBit: bigint, lastBit: bigint): void {
    const from = BigInt(bitmap) + firstBit / 8n;
    const bytes = Number(lastBit / 8n - firstBit / 8n) + 1;
    const pages = Math.ceil(bytes / Number(PAGE)) + (from % PAGE === 0n ? 0 : 1);
    mm.makeOwn(from, Math.min(pages, MOST_BITMAP_PAGES), Number.POSITIVE_INFINITY);
  },

  /** iova_bitmap_set */
  setBits(bitmap: UserBlock, from: bigint, length: bigint, pageSize: bigint): void {
    bitmap.setBits(Number(from / pageSize), Number((from + length - 1n) / pageSize));
  },
};
