/** VFIO_IOMMU_DIRTY_PAGES of type1, and dirty bitmaps. Beside drivers/vfio/vfio_iommu_type1.c. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import { type Argument, type Ioctl, ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { USER_END } from "../kernel/mm.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { offsetOfEnd } from "../uapi/layout.ts";
import { U64_MAX } from "../uapi/u64.ts";
import type { ContainerLike } from "./container.ts";
import type { Dma } from "./dma.ts";
import type { Type1 } from "./type1.ts";
import { MAX_BITMAP_BYTES } from "./type1-info.ts";
import { DIRTY, DirtyPages } from "./type1-layouts.ts";

const source = "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_dirty_pages";
const header = "include/uapi/linux/vfio.h:VFIO_IOMMU_DIRTY_PAGES";

export const rule = clauses({
  "VFIO-TYPE1-DIRTY-1": { rule: "v1 logs no dirty pages, whatever the argument", errno: "EACCES", source },
  "VFIO-TYPE1-DIRTY-2": { rule: "the struct must be readable", errno: "EFAULT", source },
  "VFIO-TYPE1-DIRTY-3": {
    rule: "argsz must cover the struct, and only START, STOP and GET_BITMAP are flags",
    errno: "EINVAL",
    source,
  },
  "VFIO-TYPE1-DIRTY-4": { rule: "exactly one flag must be set", errno: "EINVAL", source: header },
  "VFIO-TYPE1-DIRTY-5": {
    rule: "logging can't begin while a mapping is too large for its bitmap",
    errno: "EINVAL",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_dma_bitmap_alloc_all",
  },
  "VFIO-TYPE1-DIRTY-6": {
    rule: "START and STOP may be repeated, which changes nothing",
    source,
  },
  "VFIO-TYPE1-DIRTY-7": {
    rule: "GET_BITMAP needs argsz to cover its range and bitmap",
    errno: "EINVAL",
    source: header,
  },
  "VFIO-TYPE1-DIRTY-8": { rule: "the range and the bitmap's description must be readable", errno: "EFAULT", source },
  "VFIO-TYPE1-DIRTY-9": { rule: "the range must have a size", errno: "EINVAL", source, since: "6.18" },
  "VFIO-TYPE1-DIRTY-10": {
    rule: "the range must not run over the end of the address space",
    errno: "EOVERFLOW",
    source,
    since: "6.18",
  },
  "VFIO-TYPE1-DIRTY-11": {
    rule: "the range must not run over the end of the address space",
    errno: "EINVAL",
    source,
    until: "6.17",
  },
  "VFIO-TYPE1-DIRTY-12": {
    rule: "the range must be multiples of the bitmap's page, which must be the smallest page",
    errno: "EINVAL",
    source: header,
  },
  "VFIO-TYPE1-DIRTY-13": { rule: "pages must be logged to get a bitmap of them", errno: "EINVAL", source: header },
  "VFIO-TYPE1-DIRTY-14": {
    rule: "a range that begins or ends inside of a mapping is refused",
    errno: "EINVAL",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_iova_dirty_bitmap",
  },
  "VFIO-TYPE1-DIRTY-15": {
    rule: "every page that an IOMMU can reach is dirty, each time; others once, when the last such group has left",
    source: "drivers/vfio/vfio_iommu_type1.c:update_user_bitmap",
    observable: "output",
  },
  "VFIO-TYPE1-DIRTY-16": {
    rule: "no bit is set of a page that is not mapped, or was not dirty",
    source: header,
    observable: "output",
  },
  "VFIO-TYPE1-BITMAP-1": {
    rule: "the bitmap must lie in user memory",
    errno: "EINVAL",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_dirty_pages",
  },
  "VFIO-TYPE1-BITMAP-2": {
    rule: "the bitmap must have a 64-bit word for every 64 pages that have begun, some, and no more than 256 MiB",
    errno: "EINVAL",
    source: "drivers/vfio/vfio_iommu_type1.c:verify_bitmap_size",
  },
  "VFIO-TYPE1-BITMAP-3": {
    rule: "the bitmap must be writable where a mapping's pages are",
    errno: "EFAULT",
    source: "drivers/vfio/vfio_iommu_type1.c:update_user_bitmap",
  },
});

const MINSZ = offsetOfEnd(DirtyPages, "flags");
const BITMAP = offsetOfEnd(DirtyPages, "size");

/** DIRTY_BITMAP_PAGES_MAX */
const MAX_PAGES = 0x7fff_ffff;

export const dirtyPages: Ioctl<ContainerLike> = ioctl<ContainerLike>({
  name: "VFIO_IOMMU_DIRTY_PAGES",
  request: vfioRequest(117),
  argument: { kind: "struct", layout: DirtyPages },
  on: ["container"],
  useful: (k, file) => k.type1.isSetUp(file) && k.type1.instanceOf(file).v2,
  run: (k, file, arg) => k.type1.dirtyPages(k, k.type1.instanceOf(file), arg),
});

/** Where a mapping's pages are in a dirty bitmap. */
export interface BitmapPart {
  /** Its bits: the first, and the one behind the last. */
  readonly first: number;
  readonly end: number;
  /** Bytes of their 64-bit words. */
  readonly from: number;
  readonly to: number;
}

export const steps = {
  /** vfio_iommu_type1_dirty_pages */
  *dirtyPages(k: Kernel, iommu: Type1, arg: Argument): Operation<number> {
    const { block } = arg;
    must(iommu.v2, rule["VFIO-TYPE1-DIRTY-1"]);
    block.copyFrom(MINSZ, rule["VFIO-TYPE1-DIRTY-2"]);
    const flags = block.u32(4);
    must(block.u32(0) >= MINSZ, rule["VFIO-TYPE1-DIRTY-3"]);
    must((flags & ~(DIRTY.START | DIRTY.STOP | DIRTY.GET_BITMAP)) === 0, rule["VFIO-TYPE1-DIRTY-3"]);
    switch (flags) {
      case DIRTY.START: {
        using _ = yield* k.lock(iommu.lock);
        if (!iommu.tracking) {
          must(
            iommu.dmas.all.every((dma) => k.type1.canTrack(iommu, dma)),
            rule["VFIO-TYPE1-DIRTY-5"],
          );
          for (let bitmaps = iommu.dmas.all.length; bitmaps > 0; bitmaps--) k.alloc();
        }
        k.type1.setTracking(iommu, true);
        k.keeps(rule["VFIO-TYPE1-DIRTY-6"]);
        return 0;
      }
      case DIRTY.STOP: {
        using _ = yield* k.lock(iommu.lock);
        k.type1.setTracking(iommu, false);
        k.keeps(rule["VFIO-TYPE1-DIRTY-6"]);
        return 0;
      }
      case DIRTY.GET_BITMAP:
        return yield* k.type1.getBitmap(k, iommu, arg);
      default:
        return refuse(rule["VFIO-TYPE1-DIRTY-4"]);
    }
  },

  *getBitmap(k: Kernel, iommu: Type1, { block, at }: Argument): Operation<number> {
    must(block.u32(0) >= DirtyPages.size, rule["VFIO-TYPE1-DIRTY-7"]);
    block.copyFrom(DirtyPages.size, rule["VFIO-TYPE1-DIRTY-8"], MINSZ);
    const iova = block.u64(MINSZ);
    const size = block.u64(MINSZ + 8);
    const last = iova + size - 1n;
    if (k.since("6.18")) {
      must(size !== 0n, rule["VFIO-TYPE1-DIRTY-9"]);
      must(last <= U64_MAX, rule["VFIO-TYPE1-DIRTY-10"]);
    } else {
      must(k.type1.bitmapRangeFits(iova, size), rule["VFIO-TYPE1-DIRTY-11"]);
    }
    k.type1.checkBitmap(block, BITMAP, size);
    using _ = yield* k.lock(iommu.lock);
    const page = iommu.smallestPage;
    const aligned = block.u64(BITMAP) === page && ((iova | size) & (page - 1n)) === 0n;
    must(aligned, rule["VFIO-TYPE1-DIRTY-12"]);
    must(iommu.tracking, rule["VFIO-TYPE1-DIRTY-13"]);
    const bisected = k.type1.findDma(iommu, iova, iova)?.iova ?? iova;
    const cut = k.type1.findDma(iommu, last, last)?.last ?? last;
    must(bisected === iova && cut === last, rule["VFIO-TYPE1-DIRTY-14"]);
    const dmas = iommu.dmas.findAll(iova, last);
    k.type1.takeDirty(k, iommu, dmas, iova, at(block.u64(BITMAP + 16)));
    k.keeps(rule["VFIO-TYPE1-DIRTY-15"]);
    k.keeps(rule["VFIO-TYPE1-DIRTY-16"]);
    return 0;
  },

  /** Whether a range ends in the address space, its last byte included. */
  bitmapRangeFits(iova: bigint, size: bigint): boolean {
    return iova + size - 1n <= U64_MAX;
  },

  /** access_ok and verify_bitmap_size of the struct vfio_bitmap at an offset, for so many bytes of IOVA. */
  checkBitmap(block: UserBlock, offset: number, range: bigint): void {
    const page = block.u64(offset);
    const size = block.u64(offset + 8);
    must(block.u64(offset + 16) + size <= USER_END, rule["VFIO-TYPE1-BITMAP-1"]);
    // Pages of no size: the kernel shifts by a number that is not defined, and refuses them sooner or later.
    const pages = page === 0n ? 0n : range / (page & -page);
    const needed = ((pages + 63n) / 64n) * 8n;
    must(pages > 0n && size > 0n && size >= needed && size <= MAX_BITMAP_BYTES, rule["VFIO-TYPE1-BITMAP-2"]);
  },

  /** vfio_dma_bitmap_alloc: whether a mapping has few enough pages. */
  canTrack({ smallestPage }: Type1, { size }: Dma): boolean {
    return size / smallestPage <= MAX_PAGES;
  },

  /** dirty_page_tracking; without it nothing is remembered of a mapping. */
  setTracking(iommu: Type1, tracking: boolean): void {
    iommu.tracking = tracking;
    if (!tracking) for (const dma of iommu.dmas.all) dma.dirty = false;
  },

  /** vfio_iommu_populate_bitmap_full: a group that could write anywhere has left. */
  markAllDirty(iommu: Type1): void {
    for (const dma of iommu.dmas.all) dma.dirty = true;
  },

  /** What is pinned by drivers stays dirty; no device here pins anything. */
  clearDirty(dma: Dma): void {
    dma.dirty = false;
  },

  /** The loop of vfio_iova_dirty_bitmap: what is reported is clean from then on. */
  takeDirty(k: Kernel, iommu: Type1, dmas: readonly Dma[], base: bigint, bitmap: UserBlock): void {
    k.type1.putDirty(k, iommu, dmas, base, bitmap);
    for (const dma of dmas) k.type1.clearDirty(dma);
  },

  /** Reports mappings one after the other; bit 0 is the page at `base`. */
  putDirty(k: Kernel, iommu: Type1, dmas: readonly Dma[], base: bigint, bitmap: UserBlock): void {
    const [last] = dmas.slice(-1);
    if (last) {
      const { to } = k.type1.bitmapPart(iommu, last, base);
      bitmap.know(to);
      if (bitmap.writable > 0 && bitmap.bytes.subarray(0, to).some((byte) => byte !== 0)) {
        throw new Unmodelled("a dirty bitmap that was not zeroed");
      }
    }
    for (const dma of dmas) k.type1.reportDirty(k, iommu, dma, base, bitmap);
  },

  /** The pages of a mapping as bits of a bitmap that begins at `base`, and the bytes of the words that they are in. */
  bitmapPart({ smallestPage }: Type1, dma: Dma, base: bigint): BitmapPart {
    const first = Number((dma.iova - base) / smallestPage);
    const end = first + Number(dma.size / smallestPage);
    return { first, end, from: Math.floor(first / 64) * 8, to: Math.ceil(end / 64) * 8 };
  },

  /** update_user_bitmap: whole words are written, bits that others have set there among them. */
  reportDirty(k: Kernel, iommu: Type1, dma: Dma, base: bigint, bitmap: UserBlock): void {
    const { first, end, from, to } = k.type1.bitmapPart(iommu, dma, base);
    const image = bitmap.bytes.slice();
    if (k.type1.isDirty(dma)) {
      for (let page = first; page < end; page++) image[page >> 3] = (image[page >> 3] ?? 0) | (1 << (page & 7));
    }
    bitmap.copyTo(image, from, to, rule["VFIO-TYPE1-BITMAP-3"]);
  },

  /** Devices behind an IOMMU can have written to all that it reaches. */
  isDirty(dma: Dma): boolean {
    return dma.dirty || dma.iommuMapped;
  },
};
