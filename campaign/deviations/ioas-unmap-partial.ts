/**
 * IOAS_UNMAP of a range that ends inside a mapping fails, and the mappings before that one are gone. VFIO's own command on an
 * iommufd does the same, and says in `size` how much that was.
 */
import { rule } from "../../model/iommufd/unmap.ts";
import { runStraight } from "../../model/kernel/operation.ts";
import type { Deviation } from "./deviation.ts";

/** What ends the way through the mappings of a range. */
const ON_THE_WAY: readonly unknown[] = [rule["IOMMUFD-UNMAP-5"].refusal, rule["IOMMUFD-UNMAP-11"].refusal];

export const ioasUnmapPartial: Deviation = {
  id: "ioas-unmap-partial",
  title: "IOMMU_IOAS_UNMAP that is refused at a mapping which reaches out of the range has removed those before it",
  clause: "IOMMUFD-UNMAP-5",
  since: "6.2",
  source: "drivers/iommu/iommufd/io_pagetable.c:iopt_unmap_iova_range",
  upstream: "searched, none found",
  evidence: "ioas-unmap-partial",
  apply(k, fired) {
    const right = k.ioas.wholeAreas;
    const unmappedDespite = k.iommufd.unmappedDespite;
    let bytes = 0n;
    k.ioas = {
      ...k.ioas,
      wholeAreas(pagetable, start, last) {
        try {
          return right(pagetable, start, last);
        } catch (refusal) {
          bytes = 0n;
          for (const area of pagetable.areasIn(start, last)) {
            if (!area.ready || area.locks > 0 || area.start < start || area.last > last) break;
            fired();
            for (const { driver } of pagetable.accesses) {
              const pins = driver?.take(area.start, area.last) ?? [];
              runStraight(k.iommufdDevice.releasePins(k, pins));
            }
            runStraight(k.ioas.unpin(k, area));
            pagetable.remove(area);
            k.ioas.putPages(k, area.pages);
            bytes += area.length;
          }
          throw refusal;
        }
      },
    };
    k.iommufd = {
      ...k.iommufd,
      unmappedDespite: (refusal) => (ON_THE_WAY.includes(refusal) ? bytes : unmappedDespite(refusal)),
    };
  },
};
