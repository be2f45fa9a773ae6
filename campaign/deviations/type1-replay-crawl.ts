/**
 * A group behind an IOMMU that can't join for the sake of a large mapping: the error path asks the new page table for every
 * page of the mapping, of which it has hardly any. A mapping of 2^48 bytes takes hours, with locks held, and no signal ends it.
 */
import { type Deviation, Ruined } from "./deviation.ts";

/** Pages that take less than a moment; programs have memory for far fewer. */
const FEW = 1 << 20;

export const type1ReplayCrawl: Deviation = {
  id: "type1-replay-crawl",
  title: "a group that can't join because of a large mapping keeps the kernel busy for a time that grows with it",
  clause: "VFIO-TYPE1-ATTACH-5",
  since: "6.1",
  source: "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_replay",
  upstream: "searched, none found",
  evidence: "type1-replay-crawl",
  destructive: true,
  apply(k) {
    const right = k.type1.checkFits;
    k.type1 = {
      ...k.type1,
      checkFits(iommu, group) {
        if (iommu.dmas.all.some(({ pages, iommuMapped }) => pages > FEW && !iommuMapped)) {
          throw new Ruined("a group that keeps this kernel busy for hours", "type1-replay-crawl");
        }
        right(iommu, group);
      },
    };
  },
};
