/** A group that can't join for one mapping keeps the pages of those before it pinned. */
import type { Fault } from "./fault.ts";

export const type1ReplayUnwind: Fault = {
  id: "type1-replay-unwind",
  title: "a group that can't join leaves pinned what was pinned for it",
  cites: "aae7a75a821a vfio/type1: Add proper error unwind for vfio_iommu_replay() (5.9)",
  breaks: "refused-no-trace",
  shownBy: "allocation-failures",
  apply(k) {
    k.type1 = {
      ...k.type1,
      *replay(kernel, iommu) {
        for (const dma of iommu.dmas.all) if (!dma.iommuMapped) yield* kernel.type1.pin(kernel, dma);
      },
    };
  },
};
