/** UNMAP_DMA of type1 whose answer can't be written has done its work all the same. */
import type { Deviation } from "./deviation.ts";

export const type1UnmapFault: Deviation = {
  id: "type1-unmap-fault",
  title: "VFIO_IOMMU_UNMAP_DMA that ends in EFAULT has unmapped, or taken addresses away",
  clause: "VFIO-TYPE1-UNMAP-13",
  since: "6.1",
  source: "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_unmap_dma",
  upstream: "searched, none found",
  evidence: "type1-unmap-fault",
  apply(k, fired) {
    const right = k.type1.canAnswer;
    k.type1 = {
      ...k.type1,
      canAnswer(block, size) {
        if (!right(block, size)) fired();
        return true;
      },
    };
  },
};
