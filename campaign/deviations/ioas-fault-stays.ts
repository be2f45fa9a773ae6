/** IOAS_MAP, COPY, UNMAP, OPTION and UNMAP_DMA whose answer can't be written have done their work all the same. */
import type { Deviation } from "./deviation.ts";

export const ioasFaultStays: Deviation = {
  id: "ioas-fault-stays",
  title:
    "IOMMU_IOAS_MAP, COPY and UNMAP, IOMMU_OPTION and VFIO_IOMMU_UNMAP_DMA on an iommufd that end in EFAULT have mapped, unmapped, or set the option",
  clause: "IOMMUFD-MAP-13",
  since: "6.2",
  source: "drivers/iommu/iommufd/ioas.c:iommufd_ioas_map",
  upstream: "searched, none found",
  evidence: "ioas-fault-stays",
  apply(k, fired) {
    const right = k.ioas.canAnswer;
    k.ioas = {
      ...k.ioas,
      canAnswer(block, size) {
        if (!right(block, size)) fired();
        return true;
      },
    };
  },
};
