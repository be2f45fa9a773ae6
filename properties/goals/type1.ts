/** Goals about what is mapped in a container. */
import { ioctlByOther, ioctlEnded } from "./ended.ts";
import { PINNING } from "./needs.ts";

export const dmaMappedByOther = ioctlByOther(
  "dma-map-by-other",
  "another process than the program mapped its memory for a container",
  "VFIO_IOMMU_MAP_DMA",
  { kconfig: ["VFIO_CONTAINER"] },
);
export const dmaMapped = ioctlEnded("map-dma", "memory was mapped in a container", "VFIO_IOMMU_MAP_DMA", 0);
export const dmaMapExists = ioctlEnded(
  "map-dma-exists",
  "a mapping was refused because something is mapped there",
  "VFIO_IOMMU_MAP_DMA",
  "EEXIST",
);
export const dmaMapFull = ioctlEnded(
  "map-dma-full",
  "a mapping was refused because the container is full",
  "VFIO_IOMMU_MAP_DMA",
  "ENOSPC",
);
export const dmaMapLimit = ioctlEnded(
  "map-dma-limit",
  "a mapping was refused because the caller may lock no more memory",
  "VFIO_IOMMU_MAP_DMA",
  "ENOMEM",
  PINNING,
);
export const dmaMapFault = ioctlEnded(
  "map-dma-fault",
  "a mapping was refused because its memory can't be pinned",
  "VFIO_IOMMU_MAP_DMA",
  "EFAULT",
  PINNING,
);
export const dmaUnmapped = ioctlEnded("unmap-dma", "a range was unmapped", "VFIO_IOMMU_UNMAP_DMA", 0);
export const iommuInfo = ioctlEnded("iommu-info", "a container told of its IOMMU", "VFIO_IOMMU_GET_INFO", 0);
export const dirtyLogged = ioctlEnded("dirty-pages", "dirty pages were logged", "VFIO_IOMMU_DIRTY_PAGES", 0);
