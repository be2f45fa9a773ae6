/** What is copied is aligned as a whole, and need not be piece by piece. */
import { Refusal } from "../../model/kernel/clause.ts";
import { type Deviation, Ruined } from "./deviation.ts";

export const copyMisaligned: Deviation = {
  id: "copy-misaligned",
  title:
    "IOMMU_IOAS_COPY of mappings that are not aligned each for itself is accepted where they are together: from then on no page table can join the IOAS, and no page of it can be pinned",
  clause: "IOMMUFD-MAP-16",
  since: "6.2",
  source: "drivers/iommu/iommufd/io_pagetable.c:iopt_alloc_area_pages",
  upstream: "searched, none found",
  evidence: "copy-misaligned",
  // It harms nothing but the IOAS, whose users are refused from then on with errnos of the IOMMU's driver.
  destructive: true,
  apply(k) {
    const { checkPieces } = k.ioas;
    k.ioas = {
      ...k.ioas,
      checkPieces(pagetable, areas) {
        try {
          checkPieces(pagetable, areas);
        } catch (refusal) {
          if (refusal instanceof Refusal) throw new Ruined("mappings that are not aligned", "copy-misaligned");
          throw refusal;
        }
      },
    };
  },
};
