/** The structs of a container's mapping commands, which an iommufd answers as well. Beside include/uapi/linux/vfio.h. */
import { arrayOf, field, layout } from "../uapi/layout.ts";

/** What VFIO_IOMMU_GET_INFO says in `flags`. */
export const INFO = { PGSIZES: 1, CAPS: 2 } as const;

/** Capabilities that may follow struct vfio_iommu_type1_info, by their ids. */
export const INFO_CAP = { IOVA_RANGE: 1, MIGRATION: 2, DMA_AVAIL: 3 } as const;

/** As many words as the capabilities of two or three ranges need, and some. */
const INFO_ROOM = 15;

/** struct vfio_iommu_type1_info with room for capabilities behind it. */
export const Info = layout(
  "vfio_iommu_type1_info",
  {
    argsz: field.argsz(),
    flags: field.out32(),
    iova_pgsizes: field.out64(),
    cap_offset: field.later(field.out32()),
    pad: field.later(field.out32()),
  },
  { name: "capabilities", width: 8, signed: false, meaning: { kind: "out" }, most: INFO_ROOM },
);

export const MAP = { READ: 1, WRITE: 2, VADDR: 4 } as const;

/** struct vfio_iommu_type1_dma_map */
export const DmaMap = layout("vfio_iommu_type1_dma_map", {
  argsz: field.argsz(),
  flags: field.flags(
    {
      VFIO_DMA_MAP_FLAG_READ: MAP.READ,
      VFIO_DMA_MAP_FLAG_WRITE: MAP.WRITE,
      VFIO_DMA_MAP_FLAG_VADDR: MAP.VADDR,
    },
    ...[MAP.READ | MAP.WRITE, MAP.READ | MAP.WRITE, MAP.READ, MAP.WRITE, MAP.VADDR],
  ),
  vaddr: field.userAddress(),
  iova: field.iova(),
  size: field.length(),
});

/** 64-bit words of the dirty bitmaps that programs give: 512 pages. */
const BITMAP_WORDS = 8;

const Bitmap = arrayOf(layout("u64", { word: field.out64() }), BITMAP_WORDS);

/** struct vfio_bitmap, its fields prefixed: the struct that it is part of has fields of the same names. */
const bitmap = {
  bitmap_pgsize: field.value64(4096, 0, 2 << 20, 1),
  bitmap_size: field.value64(8 * BITMAP_WORDS, 8, 16, 0, 256 << 20, (256 << 20) + 1, 1n << 48n),
  bitmap_data: field.pointer(Bitmap),
};

export const UNMAP = { GET_DIRTY_BITMAP: 1, ALL: 2, VADDR: 4 } as const;

/** struct vfio_iommu_type1_dma_unmap, with the struct vfio_bitmap that one of its flags asks for. */
export const DmaUnmap = layout("vfio_iommu_type1_dma_unmap", {
  argsz: field.argsz(),
  flags: field.flags(
    {
      VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP: UNMAP.GET_DIRTY_BITMAP,
      VFIO_DMA_UNMAP_FLAG_ALL: UNMAP.ALL,
      VFIO_DMA_UNMAP_FLAG_VADDR: UNMAP.VADDR,
    },
    ...[0, 0, 0, UNMAP.GET_DIRTY_BITMAP, UNMAP.VADDR, UNMAP.ALL, UNMAP.ALL | UNMAP.VADDR],
  ),
  iova: field.iova(),
  size: field.length(),
  bitmap_pgsize: field.later(bitmap.bitmap_pgsize),
  bitmap_size: field.later(bitmap.bitmap_size),
  bitmap_data: field.later(bitmap.bitmap_data),
});

export const DIRTY = { START: 1, STOP: 2, GET_BITMAP: 4 } as const;

/** struct vfio_iommu_type1_dirty_bitmap, with the struct vfio_iommu_type1_dirty_bitmap_get that one of its flags asks for. */
export const DirtyPages = layout("vfio_iommu_type1_dirty_bitmap", {
  argsz: field.argsz(),
  flags: field.flags(
    {
      VFIO_IOMMU_DIRTY_PAGES_FLAG_START: DIRTY.START,
      VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP: DIRTY.STOP,
      VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP: DIRTY.GET_BITMAP,
    },
    ...[DIRTY.START, DIRTY.START, DIRTY.STOP, DIRTY.GET_BITMAP, DIRTY.GET_BITMAP, DIRTY.GET_BITMAP, DIRTY.GET_BITMAP],
  ),
  iova: field.later(field.iova()),
  size: field.later(field.length()),
  bitmap_pgsize: field.later(bitmap.bitmap_pgsize),
  bitmap_size: field.later(bitmap.bitmap_size),
  bitmap_data: field.later(bitmap.bitmap_data),
});
