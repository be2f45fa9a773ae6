/**
 * VFIO_IOMMU_MAP_DMA on an iommufd takes a mapping that is neither readable nor writable. Page tables don't: no device
 * can be attached to an IOAS with such a mapping, and since 6.19 every try is a WARN that any owner of a device can bring about.
 */

import type { Area } from "../../model/iommufd/area.ts";
import { rule } from "../../model/iommufd/vfio-compat-dma.ts";
import { refuse } from "../../model/kernel/clause.ts";
import { MAP } from "../../model/vfio/type1-layouts.ts";
import type { Deviation } from "./deviation.ts";

export const compatMapNoAccess: Deviation = {
  id: "compat-map-no-access",
  title:
    "VFIO_IOMMU_MAP_DMA on an iommufd with neither READ nor WRITE takes the range, or warns when page tables are to hold it",
  clause: "IOMMUFD-COMPAT-MAP-4",
  since: "6.2",
  source: "drivers/iommu/iommufd/vfio_compat.c:iommufd_vfio_map_dma",
  upstream: "searched, none found",
  evidence: "compat-map-no-access",
  log: /generic_pt\/.*_map_range/,
  apply(k, fired) {
    const right = { ...k.iommufd, claim: k.ioas.claim, pin: k.ioas.pin };
    const withoutAccess = new WeakSet<Area>();
    let mapped = false;
    k.iommufd = {
      ...k.iommufd,
      *mapDma(kernel, context, block) {
        try {
          return yield* right.mapDma(kernel, context, block);
        } finally {
          mapped = false;
        }
      },
      checkDmaAccess(flags) {
        if ((flags & (MAP.READ | MAP.WRITE)) !== 0) return;
        fired();
        mapped = true;
      },
      *cutAround(kernel, ioas, iova, size) {
        const cuts = yield* right.cutAround(kernel, ioas, iova, size);
        for (const { whole, left, right: rest } of cuts) {
          if (withoutAccess.has(whole)) withoutAccess.add(left).add(rest);
        }
        return cuts;
      },
    };
    k.ioas = {
      ...k.ioas,
      *claim(kernel, ioas, areas, fixed) {
        if (mapped) for (const area of areas) withoutAccess.add(area);
        yield* right.claim(kernel, ioas, areas, fixed);
      },
      *pin(kernel, area) {
        // The mock's own page tables had no access bits; since 6.19 it has the generic ones.
        const lenient = !kernel.topology.iommu && !kernel.since("6.19");
        if (lenient || !withoutAccess.has(area)) return yield* right.pin(kernel, area);
        fired();
        // Memory must be there; whether it may be locked is asked once page tables have it.
        for (const run of kernel.ioas.missingPages(area.pages, area)) kernel.ioas.reachPages(kernel, area.pages, run);
        refuse(rule["IOMMUFD-COMPAT-MAP-4"]);
      },
    };
  },
};
