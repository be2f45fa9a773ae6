/** IOMMU_IOAS_ALLOW_IOVAS: ranges that stay open to mappings. Beside drivers/iommu/iommufd/ioas.c and io_pagetable.c. */
import { clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { type FieldSpec, field, layout } from "../uapi/layout.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { IommufdFile } from "./file.ts";
import type { Range } from "./io-pagetable.ts";

const source = (name: string) => iommufdSource("ioas", name);

export const rule = clauses({
  "IOMMUFD-ALLOW-1": {
    ...IOMMUFD,
    rule: "the reserved field must be zero",
    errno: "EOPNOTSUPP",
    source: source("iommufd_ioas_allow_iovas"),
  },
  "IOMMUFD-ALLOW-2": {
    ...IOMMUFD,
    rule: "ioas_id must be the id of an IOAS",
    errno: "ENOENT",
    source: source("iommufd_ioas_allow_iovas"),
  },
  "IOMMUFD-ALLOW-3": {
    ...IOMMUFD,
    rule: "every range must be readable",
    errno: "EFAULT",
    source: source("iommufd_ioas_load_iovas"),
  },
  "IOMMUFD-ALLOW-4": {
    ...IOMMUFD,
    rule: "a range must end behind the byte that it begins with",
    errno: "EINVAL",
    source: source("iommufd_ioas_load_iovas"),
  },
  "IOMMUFD-ALLOW-5": {
    ...IOMMUFD,
    rule: "ranges must not overlap",
    errno: "EINVAL",
    source: source("iommufd_ioas_load_iovas"),
  },
  "IOMMUFD-ALLOW-6": {
    ...IOMMUFD,
    rule: "no range may touch one that is reserved; where one does, those stay allowed that were",
    errno: "EADDRINUSE",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_allow_iovas",
  },
  "IOMMUFD-ALLOW-7": {
    ...IOMMUFD,
    rule: "the ranges take the place of all that were allowed: nobody may reserve them, and the kernel places mappings in them only",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_allow_iovas",
    observable: "later-call",
  },
});

/** As many as programs have room for. */
const ROOM = 3;
const RANGE_SIZE = 16;
const PAGE = 0x1000n;

/** Ranges as programs mostly ask for them: some pages, far enough apart that they seldom overlap. */
const ranges: Record<string, FieldSpec> = {};
for (let i = 0n; i < ROOM; i++) {
  const start = (1n + 0x20n * i) * PAGE;
  ranges[`start_${i}`] = field.value64(start, 0, start + PAGE, start + 1n, 0xfee0_0000n);
  ranges[`last_${i}`] = field.value64(
    start + 0x1fn * PAGE - 1n,
    start + 2n * PAGE - 1n,
    start + 0x1fn * PAGE,
    0xfeff_ffffn,
  );
}

const AllowIovas = layout("iommu_ioas_allow_iovas", {
  size: field.argsz(),
  ioas_id: field.id("ioas"),
  num_iovas: field.value32(1, 0, 2, ROOM, ROOM + 1),
  __reserved: field.reserved32(),
  allowed_iovas: field.pointer(layout(`iommu_iova_range_in_x${ROOM}`, ranges)),
});

export const ioasAllowIovas = ioctl<IommufdFile>({
  name: "IOMMU_IOAS_ALLOW_IOVAS",
  request: vfioRequest(0x82),
  argument: { kind: "struct", layout: AllowIovas },
  on: ["iommufd"],
  since: "6.2",
  useful: (_k, { context }) => context.someIoas(),
  *run(k, { context }, { block, at }): Operation<number> {
    must(block.u32(12) === 0, rule["IOMMUFD-ALLOW-1"]);
    using ioas = k.ioas.get(context, block.u32(4), rule["IOMMUFD-ALLOW-2"]);
    const { pagetable } = ioas;
    const count = block.u32(8);
    const allowed = count === 0 ? [] : k.ioas.loadRanges(k, at(block.u64(16)), count);
    using _ = yield* k.lock(pagetable.iovaRwsem);
    for (const { start, last } of allowed) must(!pagetable.firstReserved(start, last), rule["IOMMUFD-ALLOW-6"]);
    pagetable.allow(allowed);
    k.keeps(rule["IOMMUFD-ALLOW-7"]);
    return 0;
  },
});

export const steps = {
  /** iommufd_ioas_load_iovas: each range is looked at as it is read. */
  loadRanges(k: Kernel, array: UserBlock, count: number): Range[] {
    const loaded: Range[] = [];
    for (let from = 0; loaded.length < count; from += RANGE_SIZE) {
      array.copyFrom(from + RANGE_SIZE, rule["IOMMUFD-ALLOW-3"], from);
      const start = array.u64(from);
      const last = array.u64(from + 8);
      must(start < last, rule["IOMMUFD-ALLOW-4"]);
      must(!loaded.some((range) => range.start <= last && start <= range.last), rule["IOMMUFD-ALLOW-5"]);
      k.alloc();
      loaded.push({ start, last });
    }
    return loaded;
  },
};
