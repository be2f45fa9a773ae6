/** Large pages of the generic page tables, of which the end is not told dirty. */

import type { DirtyLog } from "../../model/iommufd/dirty-log.ts";
import { PAGE_SIZE } from "../../model/iommufd/io-pagetable.ts";
import type { Hwpt } from "../../model/iommufd/objects.ts";
import { U64_MAX } from "../../model/uapi/u64.ts";
import type { Deviation } from "./deviation.ts";

/** The mock's smallest page, of which a page of the CPU's takes two entries. */
const IO_PAGE = 2048n;

/**
 * Pages with something dirty, where each is mapped by itself; null where a mapping is longer and may be of large pages: how large
 * the kernel makes them depends on where its memory lies.
 */
function dirtyPages({ ioas }: Hwpt, dirty: DirtyLog): bigint[] | null {
  const pages = new Set<bigint>();
  for (const entry of dirty.within(0n, U64_MAX)) {
    const area = ioas.pagetable.firstArea(entry, entry);
    if (!area || (area.length !== PAGE_SIZE && !ioas.disableLargePages)) return null;
    if (((area.start | area.address) & (PAGE_SIZE - 1n)) !== 0n) return null;
    pages.add(entry & -PAGE_SIZE);
  }
  return [...pages];
}

export const dirtyLastItemLost: Deviation = {
  id: "dirty-last-item-lost",
  title:
    "IOMMU_HWPT_GET_DIRTY_BITMAP of a page that takes several entries of the page table tells all of them but the last, and makes all clean",
  clause: "IOMMUFD-BITMAP-11",
  since: "6.19",
  source: "drivers/iommu/generic_pt/iommu_pt.h:record_dirty",
  upstream: "searched, none found: the end of the range is taken for its last entry",
  evidence: "dirty-last-item-lost",
  apply(k, fired) {
    /** Logs of which nobody knows any more what the kernel holds dirty. */
    const unknown = new WeakSet<DirtyLog>();
    const right = k.iommufdDevice.readDirty;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      readDirty(kernel, hwpt, dirty, range, reading) {
        const { start, last } = range;
        const { bitmap, pageSize, clear } = reading;
        const pages = unknown.has(dirty) ? null : dirtyPages(hwpt, dirty);
        const read = pages?.filter((page) => page <= last && start < page + PAGE_SIZE) ?? [];
        const isTold = (page: bigint): boolean =>
          start <= page && dirty.within(page + IO_PAGE, page + IO_PAGE).length === 0;
        if (pages && read.every(isTold)) return right(kernel, hwpt, dirty, range, reading);
        fired();
        const isWhole = kernel.iommufdDevice.mappedUpTo(hwpt.ioas.pagetable, range) === last;
        const isThere = (last - start) / pageSize / 8n < BigInt(bitmap.writable);
        if (!pages || !isWhole || !isThere) {
          unknown.add(dirty);
          right(kernel, hwpt, dirty, range, reading);
          bitmap.definedUpTo = 0;
          return;
        }
        for (const page of read) {
          if (page >= start) kernel.iommufdDevice.setBits(bitmap, page - start, IO_PAGE, pageSize);
          if (clear) dirty.clean(page, page + PAGE_SIZE - 1n);
        }
      },
    };
  },
};
