/** What the IOMMU has looked up is kept when a mapping goes: devices go on reaching memory that is somebody else's by then. */
import type { Translation } from "../../model/iommu/dma.ts";
import type { Fault } from "./fault.ts";

export const dmaOutlivesUnmap: Fault = {
  id: "dma-outlives-unmap",
  title: "a device that has reached an address goes on reaching it after it is unmapped",
  cites: "seeded",
  breaks: "difference",
  shownBy: "edu-dma",
  apply(k) {
    const right = k.type1.translate;
    const seen = new WeakMap<object, Map<bigint, Translation>>();
    k.type1 = {
      ...k.type1,
      translate(iommu, iova) {
        let known = seen.get(iommu);
        if (!known) {
          known = new Map();
          seen.set(iommu, known);
        }
        const to = right(iommu, iova) ?? known.get(iova) ?? null;
        if (to) known.set(iova, to);
        return to;
      },
    };
  },
};
