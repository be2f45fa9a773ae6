/** IOMMU_IOAS_UNMAP. Beside drivers/iommu/iommufd/ioas.c and io_pagetable.c. */
import { clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { field, fieldOf, layout } from "../uapi/layout.ts";
import { U64_MAX } from "../uapi/u64.ts";
import type { Area } from "./area.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { IommufdFile } from "./file.ts";
import type { IoPagetable } from "./io-pagetable.ts";
import type { Ioas } from "./objects.ts";

export const rule = clauses({
  "IOMMUFD-UNMAP-11": {
    ...IOMMUFD,
    since: "6.17",
    kconfig: ["IOMMUFD", "IOMMUFD_TEST"],
    machine: "mock",
    rule: "memory that a hardware queue lies in can't be unmapped",
    errno: "EBUSY",
    source: iommufdSource("io_pagetable", "iopt_unmap_iova_range"),
  },
  "IOMMUFD-UNMAP-1": {
    ...IOMMUFD,
    rule: "ioas_id must be the id of an IOAS",
    errno: "ENOENT",
    source: iommufdSource("ioas", "iommufd_ioas_unmap"),
  },
  "IOMMUFD-UNMAP-2": {
    ...IOMMUFD,
    rule: "neither iova nor length may be the largest number, but for the range that means everything",
    errno: "EOVERFLOW",
    source: iommufdSource("ioas", "iommufd_ioas_unmap"),
  },
  "IOMMUFD-UNMAP-3": {
    ...IOMMUFD,
    rule: "the range must have a length",
    errno: "EINVAL",
    source: iommufdSource("io_pagetable", "iopt_unmap_iova"),
  },
  "IOMMUFD-UNMAP-4": {
    ...IOMMUFD,
    rule: "the range must not run over the end of the address space",
    errno: "EOVERFLOW",
    source: iommufdSource("io_pagetable", "iopt_unmap_iova"),
  },
  "IOMMUFD-UNMAP-5": {
    ...IOMMUFD,
    rule: "mappings are not split: one that lies only partly in the range refuses the call, and nothing is unmapped",
    errno: "ENOENT",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_unmap",
  },
  "IOMMUFD-UNMAP-6": {
    ...IOMMUFD,
    rule: "something must be mapped in the range",
    errno: "ENOENT",
    source: iommufdSource("ioas", "iommufd_ioas_unmap"),
  },
  "IOMMUFD-UNMAP-7": {
    ...IOMMUFD,
    rule: "a mapping that another task is making or removing can't be unmapped",
    errno: "EBUSY",
    source: iommufdSource("io_pagetable", "iopt_unmap_iova_range"),
    unseen: "programs have one task",
  },
  "IOMMUFD-UNMAP-8": {
    ...IOMMUFD,
    rule: "the struct must be writable; where it is not, nothing is unmapped",
    errno: "EFAULT",
    source: iommufdSource("ioas", "iommufd_ioas_unmap"),
  },
  "IOMMUFD-UNMAP-9": {
    ...IOMMUFD,
    rule: "length brings how many bytes were unmapped",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_unmap",
    observable: "output",
  },
  "IOMMUFD-UNMAP-10": {
    ...IOMMUFD,
    rule: "iova 0 with the largest length unmaps everything, and may find nothing",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_unmap",
    observable: "output",
  },
});

const IoasUnmap = layout("iommu_ioas_unmap", {
  size: field.argsz(),
  ioas_id: field.id("ioas"),
  iova: field.mappedIova("ioas_id"),
  length: field.length(),
});

const LENGTH = fieldOf(IoasUnmap, "length").offset;

export const ioasUnmap = ioctl<IommufdFile>({
  name: "IOMMU_IOAS_UNMAP",
  request: vfioRequest(0x86),
  argument: { kind: "struct", layout: IoasUnmap },
  on: ["iommufd"],
  since: "6.2",
  useful: (_k, { context }) => context.someIoas((ioas) => ioas.pagetable.areas.length > 0),
  *run(k, { context }, { block }): Operation<number> {
    using ioas = k.ioas.get(context, block.u32(4), rule["IOMMUFD-UNMAP-1"]);
    const iova = block.u64(8);
    const length = block.u64(LENGTH);
    const everything = iova === 0n && length === U64_MAX;
    const last = everything ? U64_MAX : iova + length - 1n;
    if (!everything) {
      must(iova !== U64_MAX && length !== U64_MAX, rule["IOMMUFD-UNMAP-2"]);
      must(length !== 0n, rule["IOMMUFD-UNMAP-3"]);
      must(last <= U64_MAX, rule["IOMMUFD-UNMAP-4"]);
    }
    const look = (): readonly Area[] => {
      const found = k.ioas.wholeAreas(ioas.pagetable, iova, last);
      must(everything || found.length > 0, rule["IOMMUFD-UNMAP-6"]);
      must(k.ioas.canAnswer(block, IoasUnmap.size), rule["IOMMUFD-UNMAP-8"]);
      return found;
    };
    const unmapped = yield* k.ioas.unmapRange(k, ioas, look);
    block.put(LENGTH, 8, unmapped, rule["IOMMUFD-UNMAP-8"]);
    k.keeps(rule[everything ? "IOMMUFD-UNMAP-10" : "IOMMUFD-UNMAP-9"]);
    return 0;
  },
});

export const steps = {
  /** Whether the caller can be told what was done: asked before anything is done for good. */
  canAnswer(block: UserBlock, size: number): boolean {
    return block.canWrite(size);
  },

  /** The mappings in a range; refuses when one of them reaches out of it. */
  wholeAreas(pagetable: IoPagetable, start: bigint, last: bigint): Area[] {
    const areas = pagetable.areasIn(start, last);
    for (const area of areas) {
      must(area.ready, rule["IOMMUFD-UNMAP-7"]);
      must(area.locks === 0, rule["IOMMUFD-UNMAP-11"]);
      must(start <= area.start && area.last <= last, rule["IOMMUFD-UNMAP-5"]);
    }
    return areas;
  },

  /** iopt_unmap_iova_range: how many bytes were removed. `look` gives the mappings in a range, or refuses. */
  *unmapRange(k: Kernel, ioas: Ioas, look: () => readonly Area[]): Operation<bigint> {
    yield* k.iommufdDevice.dropAccesses(k, ioas, look);
    using _ = yield* k.lock(ioas.pagetable.domainsRwsem);
    let areas: readonly Area[];
    {
      using _iova = yield* k.lock(ioas.pagetable.iovaRwsem);
      areas = look();
      for (const area of areas) area.ready = false;
    }
    return yield* k.ioas.removeAreas(k, ioas, areas);
  },

  /** The work of iopt_unmap_iova_range, under domains_rwsem: how many bytes were removed. */
  *removeAreas(k: Kernel, ioas: Ioas, areas: readonly Area[]): Operation<bigint> {
    let bytes = 0n;
    for (const area of areas) {
      yield* k.ioas.unpin(k, area);
      for (const { dirty } of ioas.hwpts) dirty?.clean(area.start, area.last);
      yield* k.ioas.abort(k, ioas, area);
      k.ioas.putPages(k, area.pages);
      bytes += area.length;
    }
    return bytes;
  },
};
