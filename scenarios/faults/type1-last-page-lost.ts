/** The end of a mapping is reckoned as the address behind it, which for the last page is 0: it is never found. */
import { U64_MAX } from "../../model/uapi/u64.ts";
import type { Fault } from "./fault.ts";

export const type1LastPageLost: Fault = {
  id: "type1-last-page-lost",
  title: "a mapping that ends with the address space is found by nobody",
  cites: "ef270ec44637 vfio/type1: handle DMA map/unmap up to the addressable limit (6.18)",
  breaks: "difference",
  shownBy: "type1",
  apply(k) {
    const right = k.type1.findDma;
    k.type1 = {
      ...k.type1,
      findDma(iommu, start, last) {
        const found = right(iommu, start, last);
        return found?.last === U64_MAX ? undefined : found;
      },
    };
  },
};
