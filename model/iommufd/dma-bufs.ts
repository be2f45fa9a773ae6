/** Mappings of buffers that drivers share, which their drivers may take back. Beside drivers/iommu/iommufd/pages.c. */
import type { DmaBufFile } from "../dma-buf.ts";
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { Area, type Memory, type Pages } from "./area.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { Hwpt, Ioas } from "./objects.ts";

/** Functions lend buffers, and the selftests do. */
const SINCE = { ...IOMMUFD, since: "6.19" } as const;

export const rule = clauses({
  "IOMMUFD-DMABUF-1": {
    ...SINCE,
    rule: "what is mapped of a dma-buf must be within it",
    errno: "EINVAL",
    source: iommufdSource("pages", "iopt_alloc_dmabuf_pages"),
  },
  "IOMMUFD-DMABUF-2": {
    ...SINCE,
    rule: "a dma-buf that was taken back can't be mapped",
    errno: "ENODEV",
    source: iommufdSource("pages", "iopt_map_dmabuf"),
  },
  "IOMMUFD-DMABUF-3": {
    ...SINCE,
    rule: "a dma-buf is mapped, without being pinned or counted, and stays when its descriptors go",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_map_file",
    observable: "later-call",
  },
  "IOMMUFD-DMABUF-5": {
    ...SINCE,
    kconfig: ["IOMMUFD", "VFIO_PCI_DMABUF"],
    rule: "a dma-buf that lies in several pieces can't be mapped",
    errno: "EOPNOTSUPP",
    source: "drivers/vfio/pci/vfio_pci_dmabuf.c:vfio_pci_dma_buf_iommufd_map",
  },
  "IOMMUFD-DMABUF-4": {
    ...SINCE,
    machine: "mock",
    rule: "page tables that hold a dma-buf give it up when it is taken back; its mappings keep their place until they are unmapped",
    source: iommufdSource("pages", "iopt_revoke_notify"),
    observable: "later-call",
  },
});

export const steps = {
  /** iopt_alloc_dmabuf_pages: a mapping, still to be placed, that holds the buffer. Nobody's limit knows of its memory. */
  *borrow(k: Kernel, buffer: DmaBufFile, memory: Memory): Operation<Area> {
    must(memory.address + memory.length <= BigInt(buffer.size), rule["IOMMUFD-DMABUF-1"]);
    k.alloc();
    using _ = yield* k.lock(buffer.lock);
    buffer.lend({ revoked: rule["IOMMUFD-DMABUF-2"], scattered: rule["IOMMUFD-DMABUF-5"] });
    const area = Area.of(memory);
    buffer.refs++;
    buffer.importers.add(area.pages);
    k.keeps(rule["IOMMUFD-DMABUF-3"]);
    return area;
  },

  /** dma_buf_invalidate_mappings: the driver takes a buffer back from all who have it. Its own lock is held. */
  *takeBack(k: Kernel, buffer: DmaBufFile): Operation<void> {
    for (const pages of buffer.importers) {
      using _ = yield* k.lock(pages.mutex);
      if (!pages.revoked) k.ioas.revoke(k, pages);
    }
  },

  /** iopt_revoke_notify: page tables give the memory up, and with it what they knew of it. */
  revoke(k: Kernel, pages: Pages): void {
    pages.revoked = true;
    for (const { hwpts, pagetable } of ioases(k)) {
      for (const area of pagetable.areas) if (area.pages === pages) k.ioas.giveUp(hwpts, area);
    }
    k.keeps(rule["IOMMUFD-DMABUF-4"]);
  },

  /** iopt_area_unmap_domain_range of what was taken back: entries go, and what was written through them is forgotten. */
  giveUp(hwpts: readonly Hwpt[], { start, last }: Area): void {
    for (const { dirty } of hwpts) dirty?.clean(start, last);
  },
};

/** Every IOAS that there is. */
function* ioases(k: Kernel): Generator<Ioas> {
  for (const { objects } of k.iommufdContexts) {
    for (const object of objects.values()) if (object.kind === "ioas") yield object;
  }
}
