/** VFIO_IOMMU_MAP_DMA of type1. Beside drivers/vfio/vfio_iommu_type1.c:vfio_dma_do_map. */
import type { Translation } from "../iommu/dma.ts";
import { IommufdFile } from "../iommufd/file.ts";
import { clauses, must } from "../kernel/clause.ts";
import { type Ioctl, ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { U64_MAX } from "../uapi/u64.ts";
import type { ContainerLike } from "./container.ts";
import { Dma } from "./dma.ts";
import type { Type1 } from "./type1.ts";
import { DmaMap, MAP } from "./type1-layouts.ts";

const source = "drivers/vfio/vfio_iommu_type1.c:vfio_dma_do_map";
const header = "include/uapi/linux/vfio.h:VFIO_IOMMU_MAP_DMA";

export const rule = clauses({
  "VFIO-TYPE1-MAP-1": {
    rule: "the struct must be readable",
    errno: "EFAULT",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_map_dma",
  },
  "VFIO-TYPE1-MAP-2": {
    rule: "argsz must cover the struct, and only READ, WRITE and VADDR are flags",
    errno: "EINVAL",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_map_dma",
  },
  "VFIO-TYPE1-MAP-3": {
    rule: "neither the range of IOVA nor that of user memory may run over the end of the address space",
    errno: "EOVERFLOW",
    source,
    since: "6.18",
  },
  "VFIO-TYPE1-MAP-4": {
    rule: "neither the range of IOVA nor that of user memory may run over the end of the address space",
    errno: "EINVAL",
    source,
    until: "6.17",
  },
  "VFIO-TYPE1-MAP-5": {
    rule: "a mapping must have a size",
    errno: "EINVAL",
    source,
  },
  "VFIO-TYPE1-MAP-6": {
    rule: "a mapping must be readable or writable, and VADDR goes with neither",
    errno: "EINVAL",
    source: header,
  },
  "VFIO-TYPE1-MAP-7": {
    rule: "iova, vaddr and size must be multiples of the smallest page",
    errno: "EINVAL",
    source,
  },
  "VFIO-TYPE1-MAP-8": {
    rule: "existing mappings are not replaced, nor joined",
    errno: "EEXIST",
    source,
  },
  "VFIO-TYPE1-MAP-9": {
    rule: "a container takes no more mappings than dma_entry_limit says",
    errno: "ENOSPC",
    source,
  },
  "VFIO-TYPE1-MAP-10": {
    rule: "a mapping must lie in one of the ranges that the container's groups leave",
    errno: "EINVAL",
    source: "include/uapi/linux/vfio.h:VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE",
  },
  "VFIO-TYPE1-MAP-11": {
    rule: "the range is mapped until it is unmapped, or the container's last group leaves",
    source: header,
    observable: "later-call",
  },
  "VFIO-TYPE1-MAP-12": {
    rule: "while only emulated groups are in the container nothing is pinned, and the memory need not be there",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_dma_do_map",
    observable: "sysfs",
  },
  "VFIO-TYPE1-MAP-13": {
    rule: "a mapping too large for its dirty bitmap can't be made while dirty pages are logged",
    errno: "EINVAL",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_dma_bitmap_alloc",
  },
  "VFIO-TYPE1-VADDR-1": {
    rule: "a new address is for a mapping; there is none in the range",
    errno: "ENOENT",
    source,
  },
  "VFIO-TYPE1-VADDR-2": {
    rule: "a new address is for a whole mapping whose old one was taken away",
    errno: "EINVAL",
    source: header,
  },
  "VFIO-TYPE1-VADDR-7": {
    rule: "a process that gives a new address to another's mapping must have room for its pages within its own RLIMIT_MEMLOCK",
    errno: "ENOMEM",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_change_dma_owner",
  },
  "VFIO-TYPE1-VADDR-8": {
    rule: "a mapping counts for the process that gave its address last",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_change_dma_owner",
    observable: "sysfs",
  },
  "VFIO-TYPE1-VADDR-3": {
    rule: "a mapping that got a new address is as it was: its protection, its pages, and what they count",
    source: header,
    observable: "later-call",
  },
});

export const mapDma: Ioctl<ContainerLike> = ioctl<ContainerLike>({
  name: "VFIO_IOMMU_MAP_DMA",
  request: vfioRequest(113),
  argument: { kind: "struct", layout: DmaMap },
  on: ["container", "iommufd"],
  weight: 3,
  useful: (k, file) => k.type1.isSetUp(file),
  run: (k, file, arg) =>
    file instanceof IommufdFile
      ? k.iommufd.mapDma(k, file.context, arg.block)
      : k.type1.mapDma(k, k.type1.instanceOf(file), arg.block),
});

export const steps = {
  /** vfio_iommu_type1_map_dma and vfio_dma_do_map */
  *mapDma(k: Kernel, iommu: Type1, block: UserBlock): Operation<number> {
    block.copyFrom(DmaMap.size, rule["VFIO-TYPE1-MAP-1"]);
    const flags = block.u32(4);
    must(block.u32(0) >= DmaMap.size, rule["VFIO-TYPE1-MAP-2"]);
    must((flags & ~(MAP.READ | MAP.WRITE | MAP.VADDR)) === 0, rule["VFIO-TYPE1-MAP-2"]);
    const vaddr = block.u64(8);
    const iova = block.u64(16);
    const size = block.u64(24);
    const fits = iova + size - 1n <= U64_MAX && vaddr + size - 1n <= U64_MAX;
    const early = k.since("6.18");
    if (early) {
      must(size !== 0n, rule["VFIO-TYPE1-MAP-5"]);
      must(fits, rule["VFIO-TYPE1-MAP-3"]);
    }
    const setVaddr = (flags & MAP.VADDR) !== 0;
    must(setVaddr !== ((flags & (MAP.READ | MAP.WRITE)) !== 0), rule["VFIO-TYPE1-MAP-6"]);
    using _ = yield* k.lock(iommu.lock);
    if (!early) must(size !== 0n, rule["VFIO-TYPE1-MAP-5"]);
    must(((size | iova | vaddr) & (iommu.smallestPage - 1n)) === 0n, rule["VFIO-TYPE1-MAP-7"]);
    if (!early) must(fits, rule["VFIO-TYPE1-MAP-4"]);
    const found = k.type1.findDma(iommu, iova, iova + size - 1n);
    if (setVaddr) {
      must(found !== undefined, rule["VFIO-TYPE1-VADDR-1"]);
      must(found.vaddrInvalid && found.iova === iova && found.size === size, rule["VFIO-TYPE1-VADDR-2"]);
      yield* k.type1.changeOwner(k, found);
      k.type1.setVaddr(k, found, vaddr);
      return 0;
    }
    must(found === undefined, rule["VFIO-TYPE1-MAP-8"]);
    must(k.type1.dmaAvail(k, iommu) > 0, rule["VFIO-TYPE1-MAP-9"]);
    k.alloc();
    const may = { read: (flags & MAP.READ) !== 0, write: (flags & MAP.WRITE) !== 0 };
    const dma = new Dma(iova, vaddr, size, may, k.task);
    must(k.type1.isInWindow(iommu, dma), rule["VFIO-TYPE1-MAP-10"]);
    yield* k.type1.addDma(k, iommu, dma);
    return 0;
  },

  /** vfio_find_dma: whether and what is mapped in a range, both ends included. */
  findDma(iommu: Type1, start: bigint, last: bigint): Dma | undefined {
    return iommu.dmas.find(start, last);
  },

  /** What the page tables of its groups have for an address: memory stays where it was pinned, whatever its address is now. */
  translate(iommu: Type1, iova: bigint): Translation | null {
    const dma = iommu.dmas.find(iova, iova);
    if (!dma?.iommuMapped) return null;
    const { pinnedFrom, pinnedIn, readable, writable } = dma;
    return { of: pinnedIn, address: pinnedFrom + iova - dma.iova, readable, writable };
  },

  /** vfio_iommu_iova_dma_valid: without windows everything is. */
  isInWindow({ windows, windowsMayBeOld }: Type1, dma: Dma): boolean {
    if (windowsMayBeOld) throw new Unmodelled("the ranges of a container that a group left while memory was short");
    return windows?.some(({ start, last }) => dma.iova >= start && dma.last <= last) ?? true;
  },

  /** The end of vfio_dma_do_map: pins what an IOMMU is to reach, and makes ready to log what gets dirty. */
  *addDma(k: Kernel, iommu: Type1, dma: Dma): Operation<void> {
    if (iommu.hasDomain) yield* k.type1.pin(k, dma);
    else k.keeps(rule["VFIO-TYPE1-MAP-12"]);
    if (iommu.tracking) {
      try {
        must(k.type1.canTrack(iommu, dma), rule["VFIO-TYPE1-MAP-13"]);
        k.alloc();
      } catch (refusal) {
        yield* k.type1.unpin(k, dma);
        throw refusal;
      }
    }
    iommu.dmas.insert(dma);
    k.keeps(rule["VFIO-TYPE1-MAP-11"]);
  },

  /** vfio_change_dma_owner: what is pinned counts for the caller from now on, if it has room for it. */
  *changeOwner(k: Kernel, dma: Dma): Operation<void> {
    if (k.mm === dma.owner.mm) return;
    const lockCap = k.task.credentials.has("CAP_IPC_LOCK");
    using _ = yield* k.lock(k.mm.mmapLock);
    const fits = k.mm.lockedPages + dma.lockedPages <= k.task.credentials.memlockPages;
    must(dma.lockedPages === 0 || lockCap || fits, rule["VFIO-TYPE1-VADDR-7"]);
    k.mm.lockedPages += dma.lockedPages;
    dma.owner.mm.lockedPages -= dma.lockedPages;
    dma.owner = k.task;
    dma.lockCap = lockCap;
    k.keeps(rule["VFIO-TYPE1-VADDR-8"]);
  },

  /** What VFIO_DMA_MAP_FLAG_VADDR does. */
  setVaddr(k: Kernel, dma: Dma, vaddr: bigint): void {
    dma.vaddr = vaddr;
    dma.vaddrInvalid = false;
    k.keeps(rule["VFIO-TYPE1-VADDR-3"]);
  },
};
