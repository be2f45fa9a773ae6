/** IOMMU_IOAS_IOVA_RANGES: where an IOAS lets mappings lie. Beside drivers/iommu/iommufd/ioas.c. */
import { clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Operation } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { arrayOf, field, layout, writeValue } from "../uapi/layout.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { IommufdFile } from "./file.ts";
import type { Range } from "./io-pagetable.ts";
import type { Ioas } from "./objects.ts";

export const rule = clauses({
  "IOMMUFD-RANGES-1": {
    ...IOMMUFD,
    rule: "the reserved field must be zero",
    errno: "EOPNOTSUPP",
    source: iommufdSource("ioas", "iommufd_ioas_iova_ranges"),
  },
  "IOMMUFD-RANGES-2": {
    ...IOMMUFD,
    rule: "ioas_id must be the id of an IOAS",
    errno: "ENOENT",
    source: iommufdSource("ioas", "iommufd_ioas_iova_ranges"),
  },
  "IOMMUFD-RANGES-3": {
    ...IOMMUFD,
    rule: "the array must be writable as far as there are ranges for it; where it is not, the struct stays as it was",
    errno: "EFAULT",
    source: iommufdSource("ioas", "iommufd_ioas_iova_ranges"),
  },
  "IOMMUFD-RANGES-4": {
    ...IOMMUFD,
    rule: "the struct must be writable",
    errno: "EFAULT",
    source: iommufdSource("ioas", "iommufd_ioas_iova_ranges"),
  },
  "IOMMUFD-RANGES-5": {
    ...IOMMUFD,
    rule: "the array must have room for every range; where it has not, it is filled and num_iovas says how many there are",
    errno: "EMSGSIZE",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_iova_ranges",
  },
  "IOMMUFD-RANGES-6": {
    ...IOMMUFD,
    rule: "the array brings every range where mappings may lie, by address, and num_iovas their number",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_iova_ranges",
    observable: "output",
  },
  "IOMMUFD-RANGES-7": {
    ...IOMMUFD,
    rule: "out_iova_alignment brings what addresses and lengths of mappings must be a multiple of",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_iova_ranges",
    observable: "output",
  },
});

const IovaRange = layout("iommu_iova_range", { start: field.out64(), last: field.out64() });
/** As many as programs have room for. */
const ROOM = 4;

const IovaRanges = layout("iommu_ioas_iova_ranges", {
  size: field.argsz(),
  ioas_id: field.id("ioas"),
  num_iovas: field.value32(ROOM, 0, 1, 2),
  __reserved: field.reserved32(),
  allowed_iovas: field.pointer(arrayOf(IovaRange, ROOM)),
  out_iova_alignment: field.out64(),
});

export const ioasIovaRanges = ioctl<IommufdFile>({
  name: "IOMMU_IOAS_IOVA_RANGES",
  request: vfioRequest(0x84),
  argument: { kind: "struct", layout: IovaRanges },
  on: ["iommufd"],
  since: "6.2",
  useful: (_k, { context }) => context.someIoas(),
  *run(k, { context }, { block, at }): Operation<number> {
    must(block.u32(12) === 0, rule["IOMMUFD-RANGES-1"]);
    using ioas = k.ioas.get(context, block.u32(4), rule["IOMMUFD-RANGES-2"]);
    using _ = yield* k.lock(ioas.pagetable.iovaRwsem);
    const room = block.u32(8);
    const ranges = k.ioas.allowedRanges(ioas);
    const fitting = ranges.slice(0, room);
    if (fitting.length > 0) k.ioas.putRanges(at(block.u64(16)), fitting);
    const answer = block.bytes.slice(0, IovaRanges.size);
    const view = new DataView(answer.buffer);
    writeValue(view, 8, 4, ranges.length);
    writeValue(view, 24, 8, ioas.pagetable.alignment);
    block.copyTo(answer, 0, IovaRanges.size, rule["IOMMUFD-RANGES-4"]);
    k.keeps(rule["IOMMUFD-RANGES-7"]);
    must(ranges.length <= room, rule["IOMMUFD-RANGES-5"]);
    k.keeps(rule["IOMMUFD-RANGES-6"]);
    return 0;
  },
});

export const steps = {
  /** The holes that iommufd_ioas_iova_ranges finds between reserved ranges. */
  allowedRanges(ioas: Ioas): readonly Range[] {
    return ioas.pagetable.unreserved;
  },

  /** Writes ranges to the caller's array, one after the other, so that those before a bad page are there. */
  putRanges(array: UserBlock, ranges: readonly Range[]): void {
    const image = new Uint8Array(ranges.length * IovaRange.size);
    const view = new DataView(image.buffer);
    for (const [i, { start, last }] of ranges.entries()) {
      const from = i * IovaRange.size;
      writeValue(view, from, 8, start);
      writeValue(view, from + 8, 8, last);
      array.copyTo(image, from, from + IovaRange.size, rule["IOMMUFD-RANGES-3"]);
    }
  },
};
