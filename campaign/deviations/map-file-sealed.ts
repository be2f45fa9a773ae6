/** IOMMU_IOAS_MAP_FILE does not look at what is sealed of a file. */
import type { Deviation } from "./deviation.ts";

export const mapFileSealed: Deviation = {
  id: "map-file-sealed",
  title: "IOMMU_IOAS_MAP_FILE gives devices leave to write to a memfd that is sealed against writing",
  clause: "IOMMUFD-MAPFILE-12",
  since: "6.13",
  source: "drivers/iommu/iommufd/pages.c:iopt_alloc_file_pages",
  upstream: "searched, none found",
  evidence: "map-file-sealed",
  apply(k, fired) {
    const right = k.ioas.isWritable;
    k.ioas = {
      ...k.ioas,
      isWritable(file) {
        if (!right(file)) fired();
        return true;
      },
    };
  },
};
