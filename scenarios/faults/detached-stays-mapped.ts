/** A group that is detached keeps what it was attached to: its devices go on with DMA to memory that may be somebody else's. */
import type { Fault } from "./fault.ts";

export const detachedStaysMapped: Fault = {
  id: "detached-stays-mapped",
  title: "the DMA of a group that is detached goes through its old page table",
  cites: "seeded",
  breaks: "dma-domain",
  shownBy: "pci-functions",
  apply(k) {
    const right = k.iommu.setCoreDomain;
    k.iommu = {
      ...k.iommu,
      setCoreDomain(kernel, group) {
        if (typeof group.domain !== "object") right(kernel, group);
      },
    };
  },
};
