/** IOAS_MAP and IOAS_UNMAP whose answer can't be written have done their work all the same. */
import type { Deviation } from "./deviation.ts";

export const ioasFaultStays: Deviation = {
  id: "ioas-fault-stays",
  title: "IOMMU_IOAS_MAP and IOMMU_IOAS_UNMAP that end in EFAULT have mapped, or unmapped",
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
