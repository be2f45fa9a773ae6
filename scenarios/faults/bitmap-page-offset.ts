/** Linux 6.7: as many pages of a dirty bitmap are pinned as its length fills; one that begins within a page reaches into one more. */
import { PAGE } from "../../model/kernel/memory-map.ts";
import type { Fault } from "./fault.ts";

export const bitmapPageOffset: Fault = {
  id: "bitmap-page-offset",
  title: "a dirty bitmap that begins within a page lacks what lies in its last page",
  cites: "4bbcbc6ea2fa iommufd/iova_bitmap: Consider page offset for the pages to be pinned (6.8)",
  breaks: "difference",
  shownBy: "mock-tables",
  apply(k) {
    const { readDirty, setBits } = k.iommufdDevice;
    /** Bytes of the bitmap in flight that lie in pages that are pinned. */
    let pinned = Number.POSITIVE_INFINITY;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      readDirty(kernel, hwpt, dirty, range, reading) {
        const bytes = Number((range.last - range.start) / reading.pageSize / 8n) + 1;
        pinned = Math.ceil(bytes / PAGE) * PAGE - (reading.bitmap.address % PAGE);
        readDirty(kernel, hwpt, dirty, range, reading);
      },
      setBits(bitmap, from, length, pageSize) {
        if (from / pageSize / 8n < BigInt(pinned)) setBits(bitmap, from, length, pageSize);
      },
    };
  },
};
