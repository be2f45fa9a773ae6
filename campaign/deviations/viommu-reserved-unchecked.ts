/** IOMMU_VIOMMU_ALLOC does not look at a field that must be zero. */
import type { Deviation } from "./deviation.ts";

export const viommuReservedUnchecked: Deviation = {
  id: "viommu-reserved-unchecked",
  title: "the reserved field of IOMMU_VIOMMU_ALLOC, which must be zero, is not looked at",
  clause: "IOMMUFD-VIOMMU-1",
  since: "6.13",
  source: "drivers/iommu/iommufd/viommu.c:iommufd_viommu_alloc_ioctl",
  upstream: "searched, none found",
  evidence: "viommu-reserved-unchecked",
  apply(k, fired) {
    const right = k.iommufdDevice.isReservedZero;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      isReservedZero(reserved) {
        if (!right(reserved)) fired();
        return true;
      },
    };
  },
};
