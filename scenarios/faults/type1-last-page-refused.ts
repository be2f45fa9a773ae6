/** A check for overflow that is off by one: nothing that ends with the address space can be unmapped. */
import type { Fault } from "./fault.ts";

export const type1LastPageRefused: Fault = {
  id: "type1-last-page-refused",
  title: "VFIO_IOMMU_UNMAP_DMA refuses a range that ends with the address space",
  cites: "58fec830fc19 vfio/type1: Fix unmap overflow off-by-one (5.0)",
  breaks: "difference",
  shownBy: "type1",
  apply(k) {
    k.type1 = { ...k.type1, rangeFits: (iova, size) => iova + size < 1n << 64n };
  },
};
