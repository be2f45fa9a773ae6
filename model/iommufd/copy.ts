/** IOMMU_IOAS_COPY. Beside drivers/iommu/iommufd/ioas.c and io_pagetable.c. */
import { clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { field, fieldOf, layout } from "../uapi/layout.ts";
import { U64_MAX } from "../uapi/u64.ts";
import { Area } from "./area.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { IommufdFile } from "./file.ts";
import { ANY_MAP_FLAG, FIXED_IOVA, MAP_FLAGS, READABLE, USUAL_MAP_FLAGS, WRITEABLE } from "./map.ts";
import type { Ioas, IommufdContext } from "./objects.ts";

const source = (name: string) => iommufdSource("ioas", name);

export const rule = clauses({
  "IOMMUFD-COPY-1": {
    ...IOMMUFD,
    rule: "unknown flags are refused",
    errno: "EOPNOTSUPP",
    source: source("iommufd_ioas_copy"),
  },
  "IOMMUFD-COPY-2": {
    ...IOMMUFD,
    rule: "neither of the two iovas nor length may be the largest number, even where dst_iova is not used",
    errno: "EOVERFLOW",
    source: source("iommufd_ioas_copy"),
  },
  "IOMMUFD-COPY-3": {
    ...IOMMUFD,
    rule: "a copy must be readable or writable",
    errno: "EINVAL",
    source: source("iommufd_ioas_copy"),
  },
  "IOMMUFD-COPY-4": {
    ...IOMMUFD,
    rule: "src_ioas_id must be the id of an IOAS",
    errno: "ENOENT",
    source: source("iommufd_ioas_copy"),
  },
  "IOMMUFD-COPY-5": {
    ...IOMMUFD,
    rule: "there must be something to copy",
    errno: "EINVAL",
    source: iommufdSource("io_pagetable", "iopt_get_pages"),
  },
  "IOMMUFD-COPY-6": {
    ...IOMMUFD,
    rule: "what is copied must not run over the end of the address space",
    errno: "EOVERFLOW",
    source: iommufdSource("io_pagetable", "iopt_get_pages"),
  },
  "IOMMUFD-COPY-7": {
    ...IOMMUFD,
    rule: "every byte of what is copied must be mapped, in one mapping or in several that touch",
    errno: "ENOENT",
    source: iommufdSource("io_pagetable", "iopt_get_pages"),
  },
  "IOMMUFD-COPY-8": {
    ...IOMMUFD,
    rule: "dst_ioas_id must be the id of an IOAS, which is looked at when the source was found to be right",
    errno: "ENOENT",
    source: source("iommufd_ioas_copy"),
  },
  "IOMMUFD-COPY-9": {
    ...IOMMUFD,
    rule: "the struct must be writable; where it is not, nothing is copied",
    errno: "EFAULT",
    source: source("iommufd_ioas_copy"),
  },
  "IOMMUFD-COPY-10": {
    ...IOMMUFD,
    rule: "a copy maps the same memory, a mapping for each part of the source, and stays when the source goes",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_copy",
    observable: "later-call",
  },
});

const IoasCopy = layout("iommu_ioas_copy", {
  size: field.argsz(),
  flags: field.flags(MAP_FLAGS, ...USUAL_MAP_FLAGS),
  dst_ioas_id: field.id("ioas"),
  src_ioas_id: field.id("ioas"),
  length: field.length(),
  dst_iova: field.placedIova(),
  src_iova: field.mappedIova("src_ioas_id"),
});

const DST_IOVA = fieldOf(IoasCopy, "dst_iova").offset;
const SRC_IOVA = fieldOf(IoasCopy, "src_iova").offset;
const CHOSEN_IOVA: ChoiceSite = { at: "field", offset: DST_IOVA, width: 8 };
/** A flag of the selftests' kernel: src_iova is the number of a mapping, and behind it an offset. */
const NTH_MAPPING = 1 << 16;

export const ioasCopy = ioctl<IommufdFile>({
  name: "IOMMU_IOAS_COPY",
  request: vfioRequest(0x83),
  argument: { kind: "struct", layout: IoasCopy },
  on: ["iommufd"],
  since: "6.2",
  useful: (_k, { context }) => context.someIoas((ioas) => ioas.pagetable.areas.length > 0),
  *run(k, { context }, { block }): Operation<number> {
    const isNth = k.has("IOMMUFD_TEST") && (block.u32(4) & NTH_MAPPING) !== 0;
    const flags = isNth ? block.u32(4) & ~NTH_MAPPING : block.u32(4);
    const from = isNth ? k.ioas.nthMapping(context, block.u32(12), block.u64(SRC_IOVA)) : block.u64(SRC_IOVA);
    must((flags & ~ANY_MAP_FLAG) === 0, rule["IOMMUFD-COPY-1"]);
    const length = block.u64(16);
    const to = block.u64(DST_IOVA);
    must(length !== U64_MAX && from !== U64_MAX && to !== U64_MAX, rule["IOMMUFD-COPY-2"]);
    k.ioas.checkAccess(flags, rule["IOMMUFD-COPY-3"]);
    let areas: readonly Area[];
    {
      using src = k.ioas.get(context, block.u32(12), rule["IOMMUFD-COPY-4"]);
      areas = yield* k.ioas.sliceAreas(k, src, from, length, flags);
    }
    using dst = k.ioas.getForCopy(k, context, block.u32(8), areas);
    const fixed = (flags & FIXED_IOVA) !== 0 ? to : null;
    yield* k.ioas.mapAreas(k, dst, areas, { fixed, site: CHOSEN_IOVA }, () => {
      must(k.ioas.canAnswer(block, IoasCopy.size), rule["IOMMUFD-COPY-9"]);
    });
    // All of the struct comes back.
    if (isNth) block.put(4, 4, flags, rule["IOMMUFD-COPY-9"]);
    block.put(DST_IOVA, 8, areas[0]?.start ?? 0n, rule["IOMMUFD-COPY-9"]);
    block.put(SRC_IOVA, 8, from, rule["IOMMUFD-COPY-9"]);
    k.keeps(rule["IOMMUFD-COPY-10"]);
    return 0;
  },
});

export const steps = {
  /** iopt_get_pages: new mappings of the memory that a range maps, still to be placed; they hold it. */
  *sliceAreas(k: Kernel, ioas: Ioas, start: bigint, length: bigint, flags: number): Operation<readonly Area[]> {
    must(length !== 0n, rule["IOMMUFD-COPY-5"]);
    const last = start + length - 1n;
    must(last <= U64_MAX, rule["IOMMUFD-COPY-6"]);
    using _ = yield* k.lock(ioas.pagetable.iovaRwsem);
    const slices: Area[] = [];
    let from = start;
    for (const area of ioas.pagetable.areasIn(start, last)) {
      must(area.start <= from && area.ready, rule["IOMMUFD-COPY-7"]);
      const end = area.last < last ? area.last : last;
      const [writable, readable] = [(flags & WRITEABLE) !== 0, (flags & READABLE) !== 0];
      slices.push(new Area(area.pages, area.startByte + from - area.start, end - from + 1n, writable, readable));
      from = end + 1n;
    }
    must(from > last, rule["IOMMUFD-COPY-7"]);
    for (const { pages } of slices) pages.refs++;
    return slices;
  },

  /** The IOAS to copy to; where there is none, the slices are given up. */
  getForCopy(k: Kernel, context: IommufdContext, id: number, slices: readonly Area[]): Ioas {
    try {
      return k.ioas.get(context, id, rule["IOMMUFD-COPY-8"]);
    } catch (refusal) {
      for (const { pages } of slices) k.ioas.putPages(k, pages);
      throw refusal;
    }
  },

  /** iommufd_test_syz_conv_iova_id: the address of a byte in the n-th mapping, 0 where there is none. */
  nthMapping(context: IommufdContext, ioasId: number, place: bigint): bigint {
    const ioas = context.get(ioasId);
    if (ioas?.kind !== "ioas") return place;
    const area = ioas.pagetable.areas[Number(place & 0xffff_ffffn)];
    return area ? BigInt.asUintN(64, area.start + (place >> 32n)) : 0n;
  },
};
