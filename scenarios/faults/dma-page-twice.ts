/** Page tables get the first page of a mapping once more in the place of those that follow. */
import { PAGE } from "../../model/kernel/mm.ts";
import type { Fault } from "./fault.ts";

export const dmaPageTwice: Fault = {
  id: "dma-page-twice",
  title: "the second page of a mapping leads to the first",
  cites: "seeded",
  breaks: "difference",
  shownBy: "edu-dma",
  apply(k) {
    const right = k.type1.translate;
    k.type1 = {
      ...k.type1,
      translate(iommu, iova) {
        const to = right(iommu, iova);
        const dma = iommu.dmas.find(iova, iova);
        if (!to || !dma || iova - dma.iova < PAGE) return to;
        return { ...to, address: to.address - (iova - dma.iova) + ((iova - dma.iova) % PAGE) };
      },
    };
  },
};
