/** A dirty bitmap that can't be told. */
import { Refusal } from "../../model/kernel/clause.ts";
import type { Deviation } from "./deviation.ts";

export const dirtyBitmapErrorLost: Deviation = {
  id: "dirty-bitmap-error-lost",
  title:
    "IOMMU_HWPT_GET_DIRTY_BITMAP succeeds where the range is not mapped or the bitmap can't be written: what could not be told is lost, and clean from then on",
  clause: "IOMMUFD-BITMAP-10",
  since: "6.7",
  source: "drivers/iommu/iommufd/io_pagetable.c:iommu_read_and_clear_dirty",
  upstream:
    "searched, none found: the result of iova_bitmap_for_each() is not looked at, and iova_bitmap_set() gives none",
  evidence: "dirty-bitmap-error-lost",
  apply(k, fired) {
    const right = k.iommufdDevice.readDirty;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      readDirty(kernel, hwpt, dirty, range, reading) {
        try {
          return right(kernel, hwpt, dirty, range, reading);
        } catch (refusal) {
          if (!(refusal instanceof Refusal)) throw refusal;
        }
        fired();
        if (!dirty.tracking && !kernel.since("6.19")) return;
        const { start } = range;
        const last = kernel.iommufdDevice.mappedUpTo(hwpt.ioas.pagetable, range);
        const { bitmap, pageSize } = reading;
        for (const entry of dirty.within(start, last)) {
          const bit = Number((entry + dirty.pageSize - 1n - start) / pageSize);
          if (bit >> 3 < bitmap.writable) kernel.iommufdDevice.setBits(bitmap, entry - start, dirty.pageSize, pageSize);
        }
        if (reading.clear) dirty.clean(start, last);
      },
    };
  },
};
