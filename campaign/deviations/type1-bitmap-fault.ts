/** Dirty bitmaps that can't be written to the end: the mappings before the bad page are clean, or gone, all the same. */
import { runStraight } from "../../model/kernel/operation.ts";
import type { Dma } from "../../model/vfio/dma.ts";
import type { Deviation } from "./deviation.ts";

export const type1BitmapFault: Deviation = {
  id: "type1-bitmap-fault",
  title: "a dirty bitmap that ends in EFAULT has unmapped the mappings before the bad page, or made them clean",
  clause: "VFIO-TYPE1-BITMAP-3",
  since: "6.1",
  source: "drivers/vfio/vfio_iommu_type1.c:vfio_dma_do_unmap",
  upstream: "searched, none found",
  evidence: "type1-bitmap-fault",
  apply(k, fired) {
    const { putDirty } = k.type1;
    /** Mappings that were reported by the call in flight. */
    let reported: Dma[] = [];
    const { reportDirty } = k.type1;
    k.type1 = {
      ...k.type1,
      reportDirty(kernel, iommu, dma, base, bitmap) {
        reportDirty(kernel, iommu, dma, base, bitmap);
        reported.push(dma);
      },
      putDirty(kernel, iommu, dmas, base, bitmap) {
        reported = [];
        try {
          putDirty(kernel, iommu, dmas, base, bitmap);
        } catch (refusal) {
          if (reported.length > 0) fired();
          for (const dma of reported) runStraight(kernel.type1.removeDma(kernel, iommu, dma));
          throw refusal;
        }
      },
      takeDirty(kernel, iommu, dmas, base, bitmap) {
        reported = [];
        try {
          putDirty(kernel, iommu, dmas, base, bitmap);
        } finally {
          if (reported.some(({ dirty }) => dirty) && reported.length < dmas.length) fired();
          for (const dma of reported) kernel.type1.clearDirty(dma);
        }
      },
    };
  },
};
