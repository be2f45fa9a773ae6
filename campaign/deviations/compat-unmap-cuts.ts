/** VFIO_IOMMU_UNMAP_DMA on an iommufd with VFIO_TYPE1_IOMMU cuts mappings before it has looked at the range. */
import type { Deviation } from "./deviation.ts";

export const compatUnmapCuts: Deviation = {
  id: "compat-unmap-cuts",
  title: "VFIO_IOMMU_UNMAP_DMA on an iommufd that is refused leaves mappings cut, where VFIO_TYPE1_IOMMU was chosen",
  clause: "IOMMUFD-COMPAT-UNMAP-7",
  since: "6.2",
  source: "drivers/iommu/iommufd/vfio_compat.c:iommufd_vfio_unmap_dma",
  upstream: "searched, none found",
  evidence: "compat-unmap-cuts",
  apply(k, fired) {
    k.iommufd = {
      ...k.iommufd,
      mend(_pagetable, cuts) {
        if (cuts.length > 0) fired();
      },
    };
  },
};
