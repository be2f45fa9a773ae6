/**
 * A dirty bitmap shows bits of earlier ones. To put a mapping's bits where they belong in the caller's bitmap the kernel moves
 * its own up, and never back: what was moved past the mapping's last page stays, and is moved on by the next report.
 */
import { Unmodelled } from "../../model/kernel/operation.ts";
import type { Dma } from "../../model/vfio/dma.ts";
import { rule } from "../../model/vfio/type1-dirty.ts";
import type { Deviation } from "./deviation.ts";

/** Pages of the largest mapping whose bitmap is followed here. */
const MANY = 1 << 20;

export const type1DirtyLeftovers: Deviation = {
  id: "type1-dirty-leftovers",
  title: "dirty bitmaps have bits set of pages that are not mapped or not dirty, left from earlier bitmaps",
  clause: "VFIO-TYPE1-DIRTY-16",
  since: "6.1",
  source: "drivers/vfio/vfio_iommu_type1.c:update_user_bitmap",
  upstream: "searched, none found",
  evidence: "type1-dirty-leftovers",
  apply(k, fired) {
    /** dma->bitmap, of mappings that have been reported or marked. */
    const bitmaps = new WeakMap<Dma, bigint>();
    const { markAllDirty, clearDirty, setTracking } = k.type1;
    const ones = ({ size }: Dma): bigint => (1n << (size >> 12n)) - 1n;
    k.type1 = {
      ...k.type1,
      markAllDirty(iommu) {
        markAllDirty(iommu);
        for (const dma of iommu.dmas.all) bitmaps.set(dma, (bitmaps.get(dma) ?? 0n) | ones(dma));
      },
      clearDirty(dma) {
        clearDirty(dma);
        bitmaps.set(dma, (bitmaps.get(dma) ?? 0n) & ~ones(dma));
      },
      setTracking(iommu, tracking) {
        setTracking(iommu, tracking);
        if (!tracking) for (const dma of iommu.dmas.all) bitmaps.delete(dma);
      },
      reportDirty(kernel, iommu, dma, base, bitmap) {
        if (dma.pages > MANY) throw new Unmodelled("the dirty bitmap of a very large mapping");
        const { first, end, from, to } = kernel.type1.bitmapPart(iommu, dma, base);
        const shift = BigInt(first % 64);
        const length = 8 * (to - from);
        let own = bitmaps.get(dma) ?? 0n;
        if (dma.iommuMapped) own |= ones(dma);
        const above = (own >> BigInt(length)) << BigInt(length);
        own = above | BigInt.asUintN(length, own << shift);
        bitmaps.set(dma, own);
        const here = from + 8 <= bitmap.readable ? bitmap.view.getBigUint64(from, true) : 0n;
        if (shift !== 0n) {
          if (from + 8 > bitmap.readable) bitmap.copyFrom(from + 8, rule["VFIO-TYPE1-BITMAP-3"]);
          own |= here;
          bitmaps.set(dma, own);
        }
        const dirty = kernel.type1.isDirty(dma) ? ones(dma) << shift : 0n;
        if (BigInt.asUintN(length, own) !== (dirty | here) && end > first) fired();
        const image = bitmap.bytes.slice();
        for (let at = from; at < to && at < image.length; at++) {
          image[at] = Number((own >> BigInt(8 * (at - from))) & 0xffn);
        }
        bitmap.copyTo(image, from, to, rule["VFIO-TYPE1-BITMAP-3"]);
      },
    };
  },
};
