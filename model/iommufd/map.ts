/** IOMMU_IOAS_MAP. Beside drivers/iommu/iommufd/ioas.c and io_pagetable.c. */
import { clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { ChoiceSite } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { field, fieldOf, layout } from "../uapi/layout.ts";
import { U64_MAX } from "../uapi/u64.ts";
import { Area } from "./area.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { IommufdFile } from "./file.ts";

export const rule = clauses({
  "IOMMUFD-MAP-1": {
    ...IOMMUFD,
    rule: "unknown flags and a reserved field that is not zero are refused",
    errno: "EOPNOTSUPP",
    source: iommufdSource("ioas", "iommufd_ioas_map"),
  },
  "IOMMUFD-MAP-2": {
    ...IOMMUFD,
    rule: "neither iova nor length may be the largest number, even where iova is not used",
    errno: "EOVERFLOW",
    source: iommufdSource("ioas", "iommufd_ioas_map"),
  },
  "IOMMUFD-MAP-3": {
    ...IOMMUFD,
    rule: "a mapping must be readable or writable",
    errno: "EINVAL",
    source: iommufdSource("ioas", "iommufd_ioas_map"),
  },
  "IOMMUFD-MAP-4": {
    ...IOMMUFD,
    rule: "ioas_id must be the id of an IOAS",
    errno: "ENOENT",
    source: iommufdSource("ioas", "iommufd_ioas_map"),
  },
  "IOMMUFD-MAP-5": {
    ...IOMMUFD,
    rule: "the length must be a multiple of the IOAS's alignment",
    errno: "EINVAL",
    source: iommufdSource("io_pagetable", "iopt_alloc_area_pages"),
  },
  "IOMMUFD-MAP-6": {
    ...IOMMUFD,
    rule: "a fixed iova must be a multiple of the IOAS's alignment",
    errno: "EINVAL",
    source: iommufdSource("io_pagetable", "iopt_check_iova"),
  },
  "IOMMUFD-MAP-7": {
    ...IOMMUFD,
    rule: "a fixed range must not run over the end of the address space",
    errno: "EOVERFLOW",
    source: iommufdSource("io_pagetable", "iopt_check_iova"),
  },
  "IOMMUFD-MAP-8": {
    ...IOMMUFD,
    rule: "a fixed range must not touch a reserved one",
    errno: "EINVAL",
    source: iommufdSource("io_pagetable", "iopt_check_iova"),
  },
  "IOMMUFD-MAP-9": {
    ...IOMMUFD,
    rule: "a fixed range must be unused: existing mappings are not replaced",
    errno: "EEXIST",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_map",
  },
  "IOMMUFD-MAP-10": {
    ...IOMMUFD,
    rule: "the kernel places nothing that takes half of the address space or more",
    errno: "EOVERFLOW",
    source: iommufdSource("io_pagetable", "iopt_alloc_iova"),
  },
  "IOMMUFD-MAP-11": {
    ...IOMMUFD,
    rule: "where the kernel is to place the mapping, there must be room within the ranges that are allowed, aligned as well as the memory is",
    errno: "ENOSPC",
    source: iommufdSource("io_pagetable", "iopt_alloc_iova"),
  },
  "IOMMUFD-MAP-12": {
    ...IOMMUFD,
    rule: "the memory must begin at a multiple of the IOAS's alignment, within its page",
    errno: "EINVAL",
    source: iommufdSource("io_pagetable", "iopt_insert_area"),
  },
  "IOMMUFD-MAP-13": {
    ...IOMMUFD,
    rule: "the struct must be writable; where it is not, nothing is mapped",
    errno: "EFAULT",
    source: iommufdSource("ioas", "iommufd_ioas_map"),
  },
  "IOMMUFD-MAP-14": {
    ...IOMMUFD,
    rule: "iova brings where the mapping is: where it was asked for, or any place that is aligned, unused, not reserved, and allowed",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_map",
    observable: "output",
  },
  "IOMMUFD-MAP-15": {
    ...IOMMUFD,
    rule: "what was mapped to be read can't be copied to be written",
    errno: "EPERM",
    source: iommufdSource("io_pagetable", "iopt_insert_area"),
  },
  "IOMMUFD-MAP-16": {
    ...IOMMUFD,
    rule: "where several mappings are copied at once, each of them must be a multiple of the IOAS's alignment",
    errno: "EINVAL",
    source: iommufdSource("io_pagetable", "iopt_alloc_area_pages"),
  },
});

export const FIXED_IOVA = 1;
export const WRITEABLE = 2;
export const READABLE = 4;
export const ANY_MAP_FLAG = FIXED_IOVA | WRITEABLE | READABLE;

/** enum iommufd_ioas_map_flags */
export const MAP_FLAGS = {
  IOMMU_IOAS_MAP_FIXED_IOVA: FIXED_IOVA,
  IOMMU_IOAS_MAP_WRITEABLE: WRITEABLE,
  IOMMU_IOAS_MAP_READABLE: READABLE,
} as const;
/** Mostly both ways, where the caller or the kernel likes. */
export const USUAL_MAP_FLAGS = [6, 7, 6, 7, 4, 5];

const IoasMap = layout("iommu_ioas_map", {
  size: field.argsz(),
  flags: field.flags(MAP_FLAGS, ...USUAL_MAP_FLAGS),
  ioas_id: field.id("ioas"),
  __reserved: field.reserved32(),
  user_va: field.userAddress(),
  length: field.length(),
  iova: field.placedIova(),
});

const IOVA = fieldOf(IoasMap, "iova").offset;
const CHOSEN_IOVA: ChoiceSite = { at: "field", offset: IOVA, width: 8 };

export const ioasMap = ioctl<IommufdFile>({
  name: "IOMMU_IOAS_MAP",
  request: vfioRequest(0x85),
  argument: { kind: "struct", layout: IoasMap },
  on: ["iommufd"],
  since: "6.2",
  weight: 2,
  useful: (_k, { context }) => context.someIoas(),
  *run(k, { context }, { block }): Operation<number> {
    const flags = block.u32(4);
    must((flags & ~ANY_MAP_FLAG) === 0 && block.u32(12) === 0, rule["IOMMUFD-MAP-1"]);
    const length = block.u64(24);
    const iova = block.u64(IOVA);
    must(iova !== U64_MAX && length !== U64_MAX, rule["IOMMUFD-MAP-2"]);
    k.ioas.checkAccess(flags, rule["IOMMUFD-MAP-3"]);
    using ioas = k.ioas.get(context, block.u32(8), rule["IOMMUFD-MAP-4"]);
    const userAddress = block.u64(16);
    k.ioas.checkUserRange(k, userAddress, length);
    k.alloc();
    const writable = (flags & WRITEABLE) !== 0;
    const readable = (flags & READABLE) !== 0;
    const area = Area.of({
      address: userAddress,
      length,
      writable,
      readable,
      counted: k.ioas.countedFor(k, context),
      owner: k.task,
    });
    const fixed = (flags & FIXED_IOVA) !== 0 ? iova : null;
    yield* k.ioas.mapAreas(k, ioas, [area], { fixed, site: CHOSEN_IOVA }, () => {
      must(k.ioas.canAnswer(block, IoasMap.size), rule["IOMMUFD-MAP-13"]);
    });
    block.put(IOVA, 8, area.start, rule["IOMMUFD-MAP-13"]);
    return 0;
  },
});
