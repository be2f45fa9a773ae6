/** A capability of an odd size puts the next where its 64-bit fields are not aligned. */
import type { Fault } from "./fault.ts";

export const type1CapabilitiesUnaligned: Fault = {
  id: "type1-capabilities-unaligned",
  title: "capabilities of VFIO_IOMMU_GET_INFO are not aligned",
  cites: "a881b496941f vfio: align capability structures (6.6)",
  breaks: "difference",
  shownBy: "iommufd-objects",
  apply(k) {
    k.type1 = { ...k.type1, capabilityAlignment: () => 1 };
  },
};
