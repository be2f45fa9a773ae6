/** VFIO_DEVICE_FEATURE_DMA_BUF: a buffer of a BAR, for others to use. Beside drivers/vfio/pci/vfio_pci_dmabuf.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { PAGE } from "../kernel/memory-map.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { locksOf } from "../pci/locks.ts";
import { field } from "../uapi/layout.ts";
import { U64_MAX } from "../uapi/u64.ts";
import { PCI_REGION } from "../vfio/device-info.ts";
import {
  FEATURE,
  FEATURE_HEADER,
  FEATURE_INDEX,
  type Feature,
  featureIoctl,
  rule as featureRule,
} from "../vfio/feature.ts";
import { type BufferRange, DMABUF, FunctionBufferFile } from "./dmabuf.ts";
import { functionOf } from "./pci-device.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_dmabuf.c:${name}`;
const GIVEN = { ...DMABUF, source: source("vfio_pci_core_feature_dma_buf") } as const;
const RANGES = { ...DMABUF, source: source("validate_dmabuf_input") } as const;
const FITTING = { ...DMABUF, source: source("vfio_pci_core_fill_phys_vec") } as const;
const HEADER = "include/uapi/linux/vfio.h:vfio_device_feature_dma_buf";

export const rule = clauses({
  "VFIO-PCI-DMABUF-1": { ...GIVEN, rule: "the data must be readable", errno: "EFAULT" },
  "VFIO-PCI-DMABUF-2": { ...GIVEN, rule: "there must be a range, and no flag", errno: "EINVAL" },
  "VFIO-PCI-DMABUF-4": {
    ...DMABUF,
    rule: "argsz must cover the ranges, which are a part of the struct",
    errno: "EINVAL",
    source: HEADER,
  },
  "VFIO-PCI-DMABUF-3": { ...GIVEN, rule: "the region must be a BAR that the function has", errno: "ENODEV" },
  "VFIO-PCI-DMABUF-5": {
    ...GIVEN,
    rule: "there can't be more ranges than the kernel has memory for at one place: 4 MiB of them",
    errno: "ENOMEM",
  },
  "VFIO-PCI-DMABUF-6": { ...GIVEN, rule: "the ranges must be readable", errno: "EFAULT" },
  "VFIO-PCI-DMABUF-7": { ...RANGES, rule: "every range is of whole pages, and has some", errno: "EINVAL" },
  "VFIO-PCI-DMABUF-8": {
    ...RANGES,
    rule: "all ranges together are shorter than half of the address space",
    errno: "EINVAL",
  },
  "VFIO-PCI-DMABUF-9": {
    ...DMABUF,
    rule: "I/O ports can't be lent",
    errno: "EINVAL",
    source: "drivers/pci/p2pdma.c:pcim_p2pdma_provider",
  },
  "VFIO-PCI-DMABUF-10": { ...FITTING, rule: "a range ends before the address space does", errno: "EOVERFLOW" },
  "VFIO-PCI-DMABUF-11": { ...FITTING, rule: "a range ends with its region, or before it", errno: "EINVAL" },
  "VFIO-PCI-DMABUF-15": {
    ...DMABUF,
    rule: "the ranges come as a descriptor, one behind the other, which can be used as open_flags say",
    source: HEADER,
  },
  "VFIO-PCI-DMABUF-16": {
    ...GIVEN,
    rule: "a buffer that is made while memory does not answer, or while the function may sleep, is not lent yet",
    observable: "later-call",
  },
});

const { GET } = FEATURE;
const LENGTHS = [0x1000, 0x1000, 0x2000, 0x4000, 0x10_0000, 0, 0x800, 1n << 62n, 1n << 63n, U64_MAX - 0xfffn] as const;
const OFFSETS = [0, 0, 0x1000, 0x3000, 1, 1n << 63n, U64_MAX - 0xfffn] as const;
const rangeFields = (n: number) => ({
  [`offset_${n}`]: field.value64(...OFFSETS),
  [`length_${n}`]: field.value64(...LENGTHS),
});
const O_CLOEXEC = 0o2000000;

featureIoctl(
  "DMA_BUF",
  GET,
  {
    region_index: field.value32(0, 0, 0, 1, 2, 3, 5, 6, 7, 0xffff_ffff),
    open_flags: field.value32(2 | O_CLOEXEC, 2, 0, 1, 3, 0xffff_ffff),
    dma_buf_flags: field.value32(0, 1),
    nr_ranges: field.value32(1, 1, 2, 3, 0, 4, 0x10_000, 0xffff_ffff),
    ...rangeFields(0),
    ...rangeFields(1),
    ...rangeFields(2),
  },
  { since: "6.19", returns: "dma-buf" },
);

/** struct vfio_device_feature_dma_buf, without its ranges, and one of those. */
const DMA_BUF_SIZE = 16;
const RANGE_SIZE = 16;
const BEGIN = FEATURE_HEADER + DMA_BUF_SIZE;
/** KMALLOC_MAX_SIZE */
const MOST = (4 << 20) / RANGE_SIZE;
const WHOLE_PAGES = BigInt(PAGE - 1);
/** DMA_IOVA_USE_SWIOTLB */
const HALF = 1n << 63n;
const O_ACCMODE = 3;
/** Where BARs may begin: behind the first page, and within what addresses of memory there are. */
const [LOWEST_BAR, HIGHEST_BAR] = [BigInt(PAGE), 1n << 52n];

/** vfio_pci_core_feature_dma_buf */
export const dmaBuf: Feature = {
  index: FEATURE_INDEX.DMA_BUF,
  since: "6.19",
  *run(k, request): Operation<number> {
    const pciFunction = functionOf(request.device);
    const { core } = pciFunction;
    must(k.has("VFIO_PCI_DMABUF") && core?.lendable !== undefined, featureRule["VFIO-FEATURE-5"]);
    if (!k.feature.check(k, request, GET, DMA_BUF_SIZE)) return 0;
    const { block, dataSize } = request;
    block.copyFrom(BEGIN, rule["VFIO-PCI-DMABUF-1"], FEATURE_HEADER);
    const [region = 0, openFlags = 0, flags, count = 0] = [0, 4, 8, 12].map((at) => block.u32(FEATURE_HEADER + at));
    must(count !== 0 && flags === 0, rule["VFIO-PCI-DMABUF-2"]);
    k.vfioPci.checkRoom(count, dataSize - DMA_BUF_SIZE);
    const bar = region < PCI_REGION.ROM ? core.lendable(region) : null;
    must(bar !== null, rule["VFIO-PCI-DMABUF-3"]);
    const ranges = k.vfioPci.readRanges(k, block, count);
    k.alloc();
    must(bar.memory, rule["VFIO-PCI-DMABUF-9"]);
    k.vfioPci.fitRanges(ranges, BigInt(bar.size));
    const buffer = new FunctionBufferFile(pciFunction, region, ranges, openFlags & O_ACCMODE);
    {
      using _ = yield* k.lock(locksOf(pciFunction).memory);
      buffer.revoked = !k.vfioPci.mayLend(k, pciFunction);
      pciFunction.buffers.add(buffer);
      request.device.registrations++;
    }
    k.keeps(rule["VFIO-PCI-DMABUF-15"]);
    if (buffer.revoked) k.keeps(rule["VFIO-PCI-DMABUF-16"]);
    return k.installFd({ at: "return" }, buffer);
  },
};

export const steps = {
  /** Whether the ranges are within what the caller has for them. */
  checkRoom(count: number, room: number): void {
    must(count * RANGE_SIZE <= room, rule["VFIO-PCI-DMABUF-4"]);
  },

  /** memdup_array_user and validate_dmabuf_input */
  readRanges(k: Kernel, block: UserBlock, count: number): BufferRange[] {
    must(count <= MOST, rule["VFIO-PCI-DMABUF-5"]);
    k.alloc();
    const end = BEGIN + count * RANGE_SIZE;
    block.copyFrom(end, rule["VFIO-PCI-DMABUF-6"], BEGIN);
    const ranges: BufferRange[] = [];
    let size = 0n;
    for (let at = BEGIN; at < end; at += RANGE_SIZE) {
      const [offset, length] = [block.u64(at), block.u64(at + 8)];
      must(length !== 0n && ((offset | length) & WHOLE_PAGES) === 0n, rule["VFIO-PCI-DMABUF-7"]);
      size += length;
      must(size <= U64_MAX, rule["VFIO-PCI-DMABUF-8"]);
      ranges.push({ offset, length });
    }
    must(size < HALF, rule["VFIO-PCI-DMABUF-8"]);
    return ranges;
  },

  /** vfio_pci_core_fill_phys_vec, of a region with so many bytes. */
  fitRanges(ranges: readonly BufferRange[], size: bigint): void {
    for (const { offset, length } of ranges) {
      const end = offset + length;
      must(end + LOWEST_BAR <= U64_MAX, rule["VFIO-PCI-DMABUF-10"]);
      if (end + HIGHEST_BAR > U64_MAX) throw new Unmodelled("where a BAR lies");
      must(end <= size, rule["VFIO-PCI-DMABUF-11"]);
    }
  },
};
