/** A dirty bitmap that begins within a large page of the generic page tables. */
import { type Deviation, Ruined } from "./deviation.ts";

/** The mock's smallest page. */
const IO_PAGE = 2048n;

export const dirtyPartHangs: Deviation = {
  id: "dirty-part-hangs",
  title:
    "IOMMU_HWPT_GET_DIRTY_BITMAP from the last entry on of a dirty page that takes several never comes back: a length of nothing sets bits without end, also behind the bitmap",
  clause: "IOMMUFD-BITMAP-11",
  since: "6.19",
  source: "drivers/iommu/generic_pt/iommu_pt.h:record_dirty",
  upstream: "searched, none found",
  evidence: "dirty-part-hangs",
  destructive: true,
  apply(k) {
    const right = k.iommufdDevice.readDirty;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      readDirty(kernel, hwpt, dirty, range, reading) {
        const { start } = range;
        const area = (start & IO_PAGE) === 0n ? undefined : hwpt.ioas.pagetable.firstArea(start, start);
        // How large the page is depends on where its memory lies; it is no larger than the mapping.
        if (area && dirty.within(area.start, area.last).length > 0) {
          throw new Ruined("an endless loop", "dirty-part-hangs");
        }
        right(kernel, hwpt, dirty, range, reading);
      },
    };
  },
};
