/** Containers with a type1 backend: what mappings cost, who may join, and what refused calls leave. */
import { MEMORY, PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Fields, Place, Value } from "../model/program.ts";
import { DIRTY, DirtyPages, DmaMap, DmaUnmap, UNMAP } from "../model/vfio/type1-layouts.ts";
import { close, containerOf, ioctl, openGroup, setContainer, unsetContainer } from "./calls.ts";
import { LEGACY } from "./needs.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const READ_WRITE = 3;
/** The last page that there is. */
const TOP = (1n << 64n) - 4096n;

/** Maps plain memory in a container. */
export const mapDma = (container: Value, iova: number | bigint, size: number | bigint): Call =>
  ioctl(container, "VFIO_IOMMU_MAP_DMA", { argsz: DmaMap.size, flags: READ_WRITE, vaddr: MEMORY.user, iova, size });

/** Unmaps a range of a container. */
export const unmapDma = (container: Value, iova: number | bigint, size: number | bigint, place?: Place): Call =>
  ioctl(container, "VFIO_IOMMU_UNMAP_DMA", { argsz: DmaUnmap.size, iova, size }, place === undefined ? {} : { place });

/** struct vfio_bitmap of so many bytes, of which the first `place` can be written. */
const bitmap = (size: number, place?: Place): Fields => ({
  bitmap_pgsize: PAGE,
  bitmap_size: size,
  bitmap_data: place === undefined ? { fields: {} } : { fields: {}, place },
});

const dirtyPages = (container: Value, flags: number, iova = 0, size = 0): Call =>
  ioctl(container, "VFIO_IOMMU_DIRTY_PAGES", {
    argsz: DirtyPages.size,
    flags,
    iova,
    size,
    ...(size > 0 ? bitmap(8) : {}),
  });

/** KiB that the process has locked. */
const locked: Call = { op: "probe", probe: { kind: "locked" } };

export const TYPE1: readonly Scenario[] = [
  scenario({
    id: "type1-unmap-fault",
    breaks: "type1-unmap-fault",
    title: "an unmapping whose answer can't be written unmaps nothing",
    needs: LEGACY,
    steps: [
      ...containerOf("edu0"),
      mapDma("@container", 0, 2 * PAGE),
      refused("EFAULT", unmapDma("@container", 0, 2 * PAGE, "readonly")),
      gives(8, locked),
    ],
  }),
  scenario({
    id: "type1-replay-crawl",
    breaks: "type1-replay-crawl",
    title: "a group that can't join because of a mapping is told so at once, however large the mapping is",
    needs: LEGACY,
    steps: [
      ...containerOf("mtty0"),
      mapDma("@container", 1n << 48n, 1n << 48n),
      openGroup("edu0", "@group1"),
      refused("EINVAL", setContainer("@group1", "@container")),
    ],
  }),
  scenario({
    id: "type1-dirty-leftovers",
    breaks: "type1-dirty-leftovers",
    title: "asking twice what is dirty gives the same answer twice where every mapped page is",
    needs: LEGACY,
    steps: [
      ...containerOf("edu0"),
      mapDma("@container", 0x4000, 2 * PAGE),
      dirtyPages("@container", DIRTY.START),
      dirtyPages("@container", DIRTY.GET_BITMAP, 0, 64 * PAGE),
      dirtyPages("@container", DIRTY.GET_BITMAP, 0, 64 * PAGE),
    ],
  }),
  scenario({
    id: "type1-bitmap-fault",
    breaks: "type1-bitmap-fault",
    title: "an unmapping whose dirty bitmap can't be written unmaps nothing",
    needs: LEGACY,
    steps: [
      ...containerOf("edu0"),
      mapDma("@container", 0, PAGE),
      mapDma("@container", 64 * PAGE, PAGE),
      dirtyPages("@container", DIRTY.START),
      refused(
        "EFAULT",
        ioctl("@container", "VFIO_IOMMU_UNMAP_DMA", {
          argsz: DmaUnmap.size,
          flags: UNMAP.GET_DIRTY_BITMAP,
          size: 128 * PAGE,
          ...bitmap(16, 8),
        }),
      ),
      gives(8, locked),
    ],
  }),
  scenario({
    id: "type1-end-of-space",
    breaks: "type1-end-of-space",
    title: "an unmapping that reaches to the end of the address space unmaps what lies there",
    needs: LEGACY,
    steps: [
      ...containerOf("mtty0"),
      mapDma("@container", TOP - BigInt(PAGE), PAGE),
      unmapDma("@container", TOP - BigInt(PAGE), 2 * PAGE),
      mapDma("@container", TOP - BigInt(PAGE), PAGE),
    ],
  }),
  scenario({
    id: "type1-last-page",
    breaks: "type1-last-page",
    title: "the last page of the address space can be mapped once",
    needs: LEGACY,
    steps: [
      ...containerOf("mtty0"),
      mapDma("@container", TOP, PAGE),
      refused("EEXIST", mapDma("@container", TOP, PAGE)),
    ],
  }),
  scenario({
    id: "type1-late-aperture",
    breaks: "type1-late-aperture",
    title: "a group can't join a container where something is mapped outside of what its IOMMU translates",
    needs: LEGACY,
    steps: [
      ...containerOf("mtty0"),
      mapDma("@container", 1n << 62n, PAGE),
      openGroup("edu0", "@group1"),
      refused("EINVAL", setContainer("@group1", "@container")),
    ],
  }),
  scenario({
    id: "type1-reach-after-leaving",
    title: "a group can't come back to a container where something is mapped that its IOMMU does not translate",
    needs: LEGACY,
    steps: [
      ...containerOf("mtty0"),
      openGroup("edu0", "@group1"),
      setContainer("@group1", "@container"),
      unsetContainer("@group1"),
      mapDma("@container", 1n << 62n, PAGE),
      refused("EINVAL", setContainer("@group1", "@container")),
    ],
  }),
  scenario({
    id: "type1-locked-memory",
    title: "what an IOMMU can reach is counted and limited, and what only an emulated device has mapped is neither",
    needs: LEGACY,
    steps: [
      { op: "capset", without: ["CAP_IPC_LOCK"] },
      { op: "prlimit", resource: "RLIMIT_MEMLOCK", soft: 4 * PAGE, hard: 4 * PAGE },
      ...containerOf("mtty0"),
      mapDma("@container", 0, 8 * PAGE),
      mapDma("@container", 0x10000, 3 * PAGE),
      gives(0, locked),
      openGroup("edu0", "@group1"),
      refused("ENOMEM", setContainer("@group1", "@container")),
      gives(0, locked),
      unmapDma("@container", 0, 8 * PAGE),
      setContainer("@group1", "@container"),
      gives(12, locked),
      refused("ENOMEM", mapDma("@container", 0x20000, 2 * PAGE)),
      mapDma("@container", 0x20000, PAGE),
      unsetContainer("@group1"),
      gives(0, locked),
      refused("EEXIST", mapDma("@container", 0x10000, PAGE)),
    ],
  }),
  scenario({
    id: "type1-outlives-file",
    title: "a container lives as long as a group is in it, and mappings as long as their container",
    needs: LEGACY,
    steps: [
      ...containerOf("edu0"),
      mapDma("@container", 0, PAGE),
      close("@container"),
      gives(4, locked),
      unsetContainer("@group"),
      gives(0, locked),
    ],
  }),
];
