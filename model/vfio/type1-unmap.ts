/** VFIO_IOMMU_UNMAP_DMA of type1. Beside drivers/vfio/vfio_iommu_type1.c:vfio_dma_do_unmap. */
import { IommufdFile } from "../iommufd/file.ts";
import { clauses, must } from "../kernel/clause.ts";
import { type Argument, type Ioctl, ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { offsetOfEnd } from "../uapi/layout.ts";
import { U64_MAX } from "../uapi/u64.ts";
import type { ContainerLike } from "./container.ts";
import type { Dma } from "./dma.ts";
import type { Type1 } from "./type1.ts";
import { DmaUnmap, UNMAP } from "./type1-layouts.ts";

const source = "drivers/vfio/vfio_iommu_type1.c:vfio_dma_do_unmap";
const early = "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_unmap_dma";
const header = "include/uapi/linux/vfio.h:VFIO_IOMMU_UNMAP_DMA";

export const rule = clauses({
  "VFIO-TYPE1-UNMAP-1": { rule: "the struct must be readable", errno: "EFAULT", source: early },
  "VFIO-TYPE1-UNMAP-2": {
    rule: "argsz must cover the struct, and only GET_DIRTY_BITMAP, ALL and VADDR are flags",
    errno: "EINVAL",
    source: early,
  },
  "VFIO-TYPE1-UNMAP-3": {
    rule: "a dirty bitmap goes with neither ALL nor VADDR",
    errno: "EINVAL",
    source: header,
  },
  "VFIO-TYPE1-UNMAP-4": {
    rule: "with a dirty bitmap argsz must cover its description, too",
    errno: "EINVAL",
    source: early,
  },
  "VFIO-TYPE1-UNMAP-5": {
    rule: "the description of the dirty bitmap must be readable",
    errno: "EFAULT",
    source: early,
  },
  "VFIO-TYPE1-VADDR-4": {
    rule: "no address can be taken away while an emulated group is in the container",
    errno: "EBUSY",
    source,
  },
  "VFIO-TYPE1-UNMAP-6": {
    rule: "iova must be a multiple of the smallest page",
    errno: "EINVAL",
    source,
  },
  "VFIO-TYPE1-UNMAP-7": { rule: "with ALL, iova and size must be 0", errno: "EINVAL", source: header },
  "VFIO-TYPE1-UNMAP-8": {
    rule: "size must be a multiple of the smallest page, and not 0",
    errno: "EINVAL",
    source,
  },
  "VFIO-TYPE1-UNMAP-9": {
    rule: "the range must not run over the end of the address space",
    errno: "EOVERFLOW",
    source,
    since: "6.18",
  },
  "VFIO-TYPE1-UNMAP-10": {
    rule: "the range must not run over the end of the address space",
    errno: "EINVAL",
    source,
    until: "6.17",
  },
  "VFIO-TYPE1-UNMAP-11": {
    rule: "a dirty bitmap is to be had while dirty pages are logged, for the smallest page",
    errno: "EINVAL",
    source,
  },
  "VFIO-TYPE1-UNMAP-12": {
    rule: "v2 splits no mapping: a range that begins or ends inside of one is refused, and nothing is unmapped",
    errno: "EINVAL",
    source,
  },
  "VFIO-TYPE1-UNMAP-13": {
    rule: "the struct must be writable; where it is not, nothing is unmapped",
    errno: "EFAULT",
    source: early,
  },
  "VFIO-TYPE1-UNMAP-14": {
    rule: "every mapping in the range is gone, and size brings how many bytes that were, if any",
    source: header,
    observable: "output",
  },
  "VFIO-TYPE1-UNMAP-15": {
    rule: "v1 unmaps whole mappings that begin in the range, and none behind one that begins before it",
    source,
    observable: "output",
  },
  "VFIO-TYPE1-VADDR-5": {
    rule: "an address can't be taken away twice; where one is, the others in the range keep theirs",
    errno: "EINVAL",
    source,
  },
  "VFIO-TYPE1-VADDR-6": {
    rule: "mappings lose their address and nothing else, and size brings how many bytes they are",
    source: header,
    observable: "output",
  },
});

const MINSZ = offsetOfEnd(DmaUnmap, "size");
const SIZE = MINSZ - 8;

export const unmapDma: Ioctl<ContainerLike> = ioctl<ContainerLike>({
  name: "VFIO_IOMMU_UNMAP_DMA",
  request: vfioRequest(114),
  argument: { kind: "struct", layout: DmaUnmap },
  on: ["container", "iommufd"],
  weight: 2,
  useful: (k, file) => k.type1.hasMappings(file),
  run: (k, file, arg) =>
    file instanceof IommufdFile
      ? k.iommufd.unmapDma(k, file.context, arg.block)
      : k.type1.unmapDma(k, k.type1.instanceOf(file), arg),
});

/** What is to be unmapped. */
interface Wanted {
  readonly start: bigint;
  readonly last: bigint;
  readonly all: boolean;
  /** Where the dirty bitmap goes, if one is wanted. */
  readonly bitmap: UserBlock | null;
}

export const steps = {
  /** vfio_iommu_type1_unmap_dma and vfio_dma_do_unmap */
  *unmapDma(k: Kernel, iommu: Type1, { block, at }: Argument): Operation<number> {
    block.copyFrom(MINSZ, rule["VFIO-TYPE1-UNMAP-1"]);
    const flags = block.u32(4);
    const argsz = block.u32(0);
    must(argsz >= MINSZ, rule["VFIO-TYPE1-UNMAP-2"]);
    must((flags & ~(UNMAP.GET_DIRTY_BITMAP | UNMAP.ALL | UNMAP.VADDR)) === 0, rule["VFIO-TYPE1-UNMAP-2"]);
    const withBitmap = (flags & UNMAP.GET_DIRTY_BITMAP) !== 0;
    const all = (flags & UNMAP.ALL) !== 0;
    const vaddrOnly = (flags & UNMAP.VADDR) !== 0;
    must(!withBitmap || (!all && !vaddrOnly), rule["VFIO-TYPE1-UNMAP-3"]);
    const iova = block.u64(8);
    const size = block.u64(SIZE);
    if (withBitmap) {
      must(argsz >= DmaUnmap.size, rule["VFIO-TYPE1-UNMAP-4"]);
      block.copyFrom(DmaUnmap.size, rule["VFIO-TYPE1-UNMAP-5"], MINSZ);
      k.type1.checkBitmap(block, MINSZ, size);
    }
    using _ = yield* k.lock(iommu.lock);
    must(!vaddrOnly || k.type1.mayTakeVaddr(iommu), rule["VFIO-TYPE1-VADDR-4"]);
    const mask = iommu.smallestPage - 1n;
    must((iova & mask) === 0n, rule["VFIO-TYPE1-UNMAP-6"]);
    const last = all ? U64_MAX : iova + size - 1n;
    if (all) {
      must(iova === 0n && size === 0n, rule["VFIO-TYPE1-UNMAP-7"]);
    } else {
      must(size !== 0n && (size & mask) === 0n, rule["VFIO-TYPE1-UNMAP-8"]);
      must(k.type1.rangeFits(iova, size), rule[k.since("6.18") ? "VFIO-TYPE1-UNMAP-9" : "VFIO-TYPE1-UNMAP-10"]);
    }
    if (withBitmap) {
      must(iommu.tracking && block.u64(MINSZ) === iommu.smallestPage, rule["VFIO-TYPE1-UNMAP-11"]);
    }
    if (iommu.v2 && !all) {
      const bisected = k.type1.findDma(iommu, iova, iova)?.iova ?? iova;
      const cut = k.type1.findDma(iommu, last, last)?.last ?? last;
      must(bisected === iova && cut === last, rule["VFIO-TYPE1-UNMAP-12"]);
    }
    const bitmap = withBitmap ? at(block.u64(MINSZ + 16)) : null;
    const dmas = k.type1.dmasToUnmap(iommu, { start: iova, last, all, bitmap });
    if (vaddrOnly) must(!dmas.some(({ vaddrInvalid }) => vaddrInvalid), rule["VFIO-TYPE1-VADDR-5"]);
    if (bitmap) k.type1.putDirty(k, iommu, dmas, iova, bitmap);
    must(k.type1.canAnswer(block, MINSZ), rule["VFIO-TYPE1-UNMAP-13"]);
    let bytes = 0n;
    for (const dma of dmas) {
      if (vaddrOnly) dma.vaddrInvalid = true;
      else yield* k.type1.removeDma(k, iommu, dma);
      bytes += dma.size;
    }
    block.put(SIZE, 8, bytes, rule["VFIO-TYPE1-UNMAP-13"]);
    k.keeps(rule[vaddrOnly ? "VFIO-TYPE1-VADDR-6" : iommu.v2 ? "VFIO-TYPE1-UNMAP-14" : "VFIO-TYPE1-UNMAP-15"]);
    return 0;
  },

  /** Whether a range ends in the address space, its last byte included. */
  rangeFits(iova: bigint, size: bigint): boolean {
    return iova + size - 1n <= U64_MAX;
  },

  /** Whether no driver could be using the addresses of mappings, as those of emulated devices do. */
  mayTakeVaddr(iommu: Type1): boolean {
    return !iommu.hasEmulated;
  },

  /** The mappings that the loop of vfio_dma_do_unmap meets. v1 stops at one that begins before the range. */
  dmasToUnmap(iommu: Type1, { start, last }: Wanted): readonly Dma[] {
    const dmas = iommu.dmas.findAll(start, last);
    return !iommu.v2 && dmas[0] && dmas[0].iova < start ? [] : dmas;
  },

  /** Whether the caller can be told what was done: asked before anything is done for good. */
  canAnswer(block: UserBlock, size: number): boolean {
    return block.canWrite(size);
  },

  /** vfio_remove_dma */
  *removeDma(k: Kernel, iommu: Type1, dma: Dma): Operation<void> {
    yield* k.type1.unpin(k, dma);
    iommu.dmas.remove(dma);
  },
};
