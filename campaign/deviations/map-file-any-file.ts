/** IOMMU_IOAS_MAP_FILE takes any file as long as nothing of it must be pinned, and holds it. */
import type { FileKind } from "../../model/kernel/file.ts";
import { type Deviation, Ruined } from "./deviation.ts";

const SEEN = {
  clause: "IOMMUFD-MAPFILE-8",
  since: "6.13",
  source: "drivers/iommu/iommufd/io_pagetable.c:iopt_map_file_pages",
  upstream: "searched, none found",
} as const;

/** Files that hold nothing else. */
const HOLDS_NOTHING: ReadonlySet<FileKind> = new Set<FileKind>(["memfd", "dma-buf", "eventfd", "null"]);

export const mapFileAnyFile: Deviation = {
  ...SEEN,
  id: "map-file-any-file",
  title: "IOMMU_IOAS_MAP_FILE maps files that are no memfd; only what pins them later is refused",
  evidence: "map-file-any-file",
  apply(k, fired) {
    const right = k.ioas.isMappable;
    k.ioas = {
      ...k.ioas,
      isMappable(file) {
        if (!right(file)) fired();
        return true;
      },
    };
  },
};

export const mapFileCycle: Deviation = {
  ...SEEN,
  id: "map-file-cycle",
  title: "an iommufd, or a device's file, that is mapped into an IOAS keeps the iommufd alive that keeps it alive",
  evidence: "map-file-cycle",
  destructive: true,
  apply(k, fired) {
    const right = k.ioas.isMappable;
    k.ioas = {
      ...k.ioas,
      isMappable(file) {
        if (HOLDS_NOTHING.has(file.kind)) return right(file);
        fired();
        throw new Ruined("a file that nobody ever closes", "map-file-cycle");
      },
    };
  },
};
