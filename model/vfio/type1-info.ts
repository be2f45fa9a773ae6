/** VFIO_IOMMU_GET_INFO of type1. Beside drivers/vfio/vfio_iommu_type1.c. */
import { IommufdFile } from "../iommufd/file.ts";
import { clauses, must } from "../kernel/clause.ts";
import { type Ioctl, ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { BLOCK_SIZE } from "../kernel/memory-map.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { offsetOfEnd } from "../uapi/layout.ts";
import type { ContainerLike } from "./container.ts";
import type { Type1 } from "./type1.ts";
import { INFO, INFO_CAP, Info } from "./type1-layouts.ts";

const source = "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_get_info";
const header = "include/uapi/linux/vfio.h:VFIO_IOMMU_GET_INFO";

export const rule = clauses({
  "VFIO-TYPE1-INFO-1": {
    rule: "the struct must be readable as far as iova_pgsizes",
    errno: "EFAULT",
    source,
  },
  "VFIO-TYPE1-INFO-2": {
    rule: "argsz must cover the struct as far as iova_pgsizes",
    errno: "EINVAL",
    source,
  },
  "VFIO-TYPE1-INFO-3": {
    rule: "the struct must be writable, and what lies behind it as far as argsz lets capabilities go there",
    errno: "EFAULT",
    source,
  },
  "VFIO-TYPE1-INFO-4": {
    rule: "iova_pgsizes brings the page sizes that every IOMMU of the container has, none below the CPU's, all without one",
    source: header,
    observable: "output",
  },
  "VFIO-TYPE1-INFO-5": {
    rule: "where argsz has no room for the capabilities it brings how much they need, and cap_offset is 0",
    source: header,
    observable: "output",
  },
  "VFIO-TYPE1-INFO-6": {
    rule: "where argsz has room the capabilities follow the struct, and cap_offset says where",
    source: header,
    observable: "output",
  },
  "VFIO-TYPE1-INFO-7": {
    rule: "a capability says how many mappings the container may still take",
    source: "include/uapi/linux/vfio.h:VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL",
    observable: "output",
  },
  "VFIO-TYPE1-INFO-8": {
    rule: "a capability has every range where memory may be mapped, once a group behind an IOMMU has been in the container",
    source: "include/uapi/linux/vfio.h:VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE",
    observable: "output",
  },
  "VFIO-TYPE1-INFO-9": {
    rule: "a capability says that dirty pages are logged by the smallest page, in bitmaps of up to 256 MiB",
    source: "include/uapi/linux/vfio.h:VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION",
    observable: "output",
  },
});

const MINSZ = offsetOfEnd(Info, "iova_pgsizes");
const CAP_HEADER = 8;
const MIGRATION_SIZE = 32;
const DMA_AVAIL_SIZE = 12;
const IOVA_RANGE_HEADER = 16;
/** DIRTY_BITMAP_SIZE_MAX */
export const MAX_BITMAP_BYTES = 256n << 20n;

export const iommuGetInfo: Ioctl<ContainerLike> = ioctl<ContainerLike>({
  name: "VFIO_IOMMU_GET_INFO",
  request: vfioRequest(112),
  argument: { kind: "struct", layout: Info },
  on: ["container", "iommufd"],
  useful: (k, file) => k.type1.isSetUp(file),
  run: (k, file, arg) =>
    file instanceof IommufdFile
      ? k.iommufd.getInfo(k, file.context, arg.block)
      : k.type1.getInfo(k, k.type1.instanceOf(file), arg.block),
});

export const steps = {
  /** vfio_iommu_type1_get_info */
  *getInfo(k: Kernel, iommu: Type1, block: UserBlock): Operation<number> {
    block.copyFrom(MINSZ, rule["VFIO-TYPE1-INFO-1"]);
    const given = block.u32(0);
    must(given >= MINSZ, rule["VFIO-TYPE1-INFO-2"]);
    let pageSizes: bigint;
    let chain: Uint8Array;
    {
      using _ = yield* k.lock(iommu.lock);
      k.alloc();
      pageSizes = iommu.pageSizes;
      chain = k.type1.capabilities(k, iommu);
    }
    const end = Info.size + chain.length;
    const image = block.bytes.slice();
    const view = new DataView(image.buffer);
    view.setUint32(0, given, true);
    view.setUint32(4, INFO.PGSIZES | INFO.CAPS, true);
    view.setBigUint64(8, pageSizes, true);
    view.setBigUint64(16, 0n, true);
    if (given < end) {
      view.setUint32(0, end, true);
      k.keeps(rule["VFIO-TYPE1-INFO-5"]);
    } else {
      if (end > BLOCK_SIZE) throw new Unmodelled("more capabilities than a block has room for");
      image.set(chain, Info.size);
      block.copyTo(image, Info.size, end, rule["VFIO-TYPE1-INFO-3"]);
      view.setUint32(16, Info.size, true);
      k.keeps(rule["VFIO-TYPE1-INFO-6"]);
      k.keeps(rule["VFIO-TYPE1-INFO-7"]);
      if (iommu.windows) k.keeps(rule["VFIO-TYPE1-INFO-8"]);
      k.keeps(rule["VFIO-TYPE1-INFO-9"]);
    }
    block.copyTo(image, 0, k.type1.infoSize(k, given), rule["VFIO-TYPE1-INFO-3"]);
    k.keeps(rule["VFIO-TYPE1-INFO-4"]);
    return 0;
  },

  /** Bytes of the struct that come back. Before 6.6 it had no padding at its end, and cap_offset came wholly or not at all. */
  infoSize(k: Kernel, argsz: number): number {
    if (k.since("6.6")) return Math.min(argsz, Info.size);
    const withOffset = offsetOfEnd(Info, "cap_offset");
    return argsz >= withOffset ? withOffset : MINSZ;
  },

  /** vfio_iommu_migration_build_caps, vfio_iommu_dma_avail_build_caps and vfio_iommu_iova_build_caps, as one chain. */
  capabilities(k: Kernel, iommu: Type1): Uint8Array {
    if (iommu.windowsMayBeOld) {
      throw new Unmodelled("the ranges of a container that a group left while memory was short");
    }
    const windows = iommu.windows ?? [];
    const align = k.type1.capabilityAlignment(k);
    const dmaAvail = Info.size + MIGRATION_SIZE;
    const ranges = dmaAvail + Math.ceil(DMA_AVAIL_SIZE / align) * align;
    const end = windows.length > 0 ? ranges + IOVA_RANGE_HEADER + 16 * windows.length : ranges;
    const view = new DataView(new ArrayBuffer(end - Info.size));
    const putHeader = (at: number, id: number, next: number): number => {
      view.setUint16(at - Info.size, id, true);
      view.setUint16(at - Info.size + 2, 1, true);
      view.setUint32(at - Info.size + 4, next, true);
      return at - Info.size + CAP_HEADER;
    };
    const migration = putHeader(Info.size, INFO_CAP.MIGRATION, dmaAvail);
    view.setBigUint64(migration + 8, iommu.smallestPage, true);
    view.setBigUint64(migration + 16, MAX_BITMAP_BYTES, true);
    view.setUint32(
      putHeader(dmaAvail, INFO_CAP.DMA_AVAIL, windows.length > 0 ? ranges : 0),
      k.type1.dmaAvail(k, iommu),
      true,
    );
    if (windows.length > 0) {
      const body = putHeader(ranges, INFO_CAP.IOVA_RANGE, 0);
      view.setUint32(body, windows.length, true);
      for (const [i, { start, last }] of windows.entries()) {
        view.setBigUint64(body + 8 + 16 * i, start, true);
        view.setBigUint64(body + 16 + 16 * i, last, true);
      }
    }
    return new Uint8Array(view.buffer);
  },

  /** Before 6.6 nothing aligned the capability behind an odd one. */
  capabilityAlignment(k: Kernel): number {
    return k.since("6.6") ? 8 : 1;
  },

  /** dma_avail: mappings that an instance may still take. */
  dmaAvail(k: Kernel, iommu: Type1): number {
    return k.topology.dmaEntryLimit - iommu.dmas.all.length;
  },
};
