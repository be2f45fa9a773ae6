/** VFIO_IOMMU_UNMAP_DMA on an iommufd refuses a range where nothing is mapped, which a container does not. */

import { rule } from "../../model/iommufd/unmap.ts";
import { must } from "../../model/kernel/clause.ts";
import type { Fault } from "./fault.ts";

export const compatUnmapNeedsSome: Fault = {
  id: "compat-unmap-needs-some",
  title: "VFIO_IOMMU_UNMAP_DMA on an iommufd refuses a range where nothing is mapped",
  cites: "afb47765f923 iommufd: Make vfio_compat's unmap succeed if the range is already empty (6.18)",
  breaks: "difference",
  shownBy: "kvm-vfio",
  apply(k) {
    const right = k.iommufd.areasToUnmap;
    k.iommufd = {
      ...k.iommufd,
      areasToUnmap(kernel, pagetable, start, last) {
        const areas = right(kernel, pagetable, start, last);
        must(areas.length > 0, rule["IOMMUFD-UNMAP-6"]);
        return areas;
      },
    };
  },
};
