/** Before 6.18 the end of a range is the address behind it, which is 0 for a range that ends with the address space. */
import { U64_MAX } from "../../model/uapi/u64.ts";
import { type Deviation, Ruined } from "./deviation.ts";

const HERE = {
  since: "6.1",
  until: "6.17",
  upstream: "fixed in 6.18 by vfio/type1: handle DMA map/unmap up to the addressable limit",
} as const;

export const type1EndOfSpace: Deviation = {
  ...HERE,
  id: "type1-end-of-space",
  title: "a range that ends with the address space is refused by DIRTY_PAGES, and UNMAP_DMA finds nothing in it",
  clause: "VFIO-TYPE1-UNMAP-14",
  source: "drivers/vfio/vfio_iommu_type1.c:vfio_dma_do_unmap",
  evidence: "type1-end-of-space",
  apply(k, fired) {
    const { dmasToUnmap, bitmapRangeFits } = k.type1;
    k.type1 = {
      ...k.type1,
      bitmapRangeFits(iova, size) {
        const fits = iova + size <= U64_MAX;
        if (fits !== bitmapRangeFits(iova, size)) fired();
        return fits;
      },
      dmasToUnmap(iommu, wanted) {
        const right = dmasToUnmap(iommu, wanted);
        if (wanted.all || wanted.last !== U64_MAX) return right;
        if (right.length > 0) fired();
        return [];
      },
    };
  },
};

/**
 * A mapping of the last page is lost for every search, and with it those that the tree has below it; which these are depends
 * on the shape of the tree.
 */
export const type1LastPage: Deviation = {
  ...HERE,
  id: "type1-last-page",
  title: "a mapping that ends with the address space can't be found again: not to be refused, not to be unmapped",
  clause: "VFIO-TYPE1-MAP-8",
  source: "drivers/vfio/vfio_iommu_type1.c:vfio_find_dma",
  evidence: "type1-last-page",
  destructive: true,
  apply(k) {
    const right = k.type1.addDma;
    k.type1 = {
      ...k.type1,
      *addDma(kernel, iommu, dma) {
        if (dma.last === U64_MAX) throw new Ruined("a mapping that this kernel does not find again", "type1-last-page");
        yield* right(kernel, iommu, dma);
      },
    };
  },
};
