/** Pinning the caller's memory for an IOMMU, and counting it as locked. Beside drivers/vfio/vfio_iommu_type1.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Mm, Reach } from "../kernel/mm.ts";
import type { Operation } from "../kernel/operation.ts";
import { versionNumber } from "../uapi/version.ts";
import type { Dma } from "./dma.ts";

export const rule = clauses({
  "VFIO-TYPE1-PIN-1": {
    rule: "what a caller without CAP_IPC_LOCK has locked, this mapping included, must stay within RLIMIT_MEMLOCK",
    errno: "ENOMEM",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_pin_pages_remote",
  },
  "VFIO-TYPE1-PIN-2": {
    rule: "memory that an IOMMU is to reach must be there, and writable where devices are to write to it",
    errno: "EFAULT",
    source: "drivers/vfio/vfio_iommu_type1.c:vaddr_get_pfns",
  },
  "VFIO-TYPE1-PIN-4": {
    rule: "memory of a process that has ended can't be pinned any more",
    errno: "EFAULT",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_pin_page_external",
  },
  "VFIO-TYPE1-PIN-3": {
    rule: "pages count as locked by the process as long as an IOMMU can reach them, with or without a limit, and no longer",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_lock_acct",
    observable: "sysfs",
  },
});

/** Pinning for long, even to read only, brings private pages of the caller's own (mm/gup.c:gup_must_unshare). */
const NO_ZERO_PAGE_SINCE = versionNumber("6.2");

export const steps = {
  /** vfio_pin_pages_remote over the whole mapping. Pages are looked at in order: the first that can't be had decides. */
  *pin(k: Kernel, dma: Dma): Operation<void> {
    const mm = k.type1.memoryOf(k, dma);
    using _ = yield* k.lock(mm.mmapLock);
    k.alloc();
    must(!mm.gone, rule["VFIO-TYPE1-PIN-4"]);
    const room = k.type1.roomFor(k, dma);
    const reach = mm.pinnable(dma.vaddr, dma.pages, dma.writable);
    const counted = k.type1.countedPages(k, mm, dma, reach, room);
    must(counted === 0 || counted <= room, rule["VFIO-TYPE1-PIN-1"]);
    must(reach.pages === dma.pages, rule["VFIO-TYPE1-PIN-2"]);
    dma.owner.mm.lockedPages += counted;
    dma.lockedPages = counted;
    dma.iommuMapped = true;
    dma.pinnedFrom = dma.vaddr;
    dma.pinnedIn = mm;
    mm.pinners.add(dma);
    k.keeps(rule["VFIO-TYPE1-PIN-3"]);
  },

  /** Whose memory is pinned for a mapping: that of the process which gave its address. */
  memoryOf(_k: Kernel, { owner }: Dma): Mm {
    return owner.mm;
  },

  /** How many more pages may count for the process whose memory it is. */
  roomFor(k: Kernel, dma: Dma): number {
    const { mm, credentials } = dma.owner;
    return k.type1.lockCap(k, dma) ? Number.POSITIVE_INFINITY : credentials.memlockPages - mm.lockedPages;
  },

  /** Whether there is no limit for a mapping: what its maker could do then decides, not what the caller can now. */
  lockCap(_k: Kernel, dma: Dma): boolean {
    return dma.lockCap;
  },

  /**
   * How many of the pages that can be pinned count. Before 6.2 private memory that was never written is pinned as the zero
   * page, which is nobody's to count.
   */
  countedPages({ version }: Kernel, mm: Mm, dma: Dma, { pages, anonymous }: Reach, room: number): number {
    if (version >= NO_ZERO_PAGE_SINCE || !anonymous) return pages;
    if (!dma.writable) return mm.ownPages(dma.vaddr, pages);
    mm.makeOwn(dma.vaddr, pages, room);
    return pages;
  },

  /** vfio_unmap_unpin, if it is pinned. */
  *unpin(k: Kernel, dma: Dma): Operation<void> {
    if (!dma.iommuMapped) return;
    const { mm } = dma.owner;
    using _ = yield* k.lock(mm.mmapLock);
    mm.lockedPages -= dma.lockedPages;
    dma.lockedPages = 0;
    dma.iommuMapped = false;
    dma.pinnedIn.pinners.delete(dma);
    k.keeps(rule["VFIO-TYPE1-PIN-3"]);
  },
};
