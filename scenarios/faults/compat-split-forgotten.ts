/** A mapping that is cut stays known as a whole to who pins its pages: unmapping the pieces gives none of them back. */
import type { Fault } from "./fault.ts";

export const compatSplitForgotten: Fault = {
  id: "compat-split-forgotten",
  title: "the pages of a mapping that was cut for VFIO_IOMMU_UNMAP_DMA stay pinned",
  cites: "e7250ab7ca49 iommufd: Fix missing update of domains_itree after splitting iopt_area (6.7)",
  breaks: "pinned-while-needed",
  shownBy: "iommufd-compat",
  apply(k) {
    const right = k.iommufd.cutAround;
    k.iommufd = {
      ...k.iommufd,
      *cutAround(kernel, ioas, iova, size) {
        const cuts = yield* right(kernel, ioas, iova, size);
        for (const { left, right: rest } of cuts) {
          left.filled = false;
          rest.filled = false;
        }
        return cuts;
      },
    };
  },
};
