/** IOMMU_IOAS_MAP. Beside drivers/iommu/iommufd/ioas.c and io_pagetable.c. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { field, fieldOf, layout } from "../uapi/layout.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { Area, type IoPagetable, U64_MAX } from "./io-pagetable.ts";
import type { IommufdFile } from "./main.ts";
import type { Ioas } from "./objects.ts";

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
    rule: "where the kernel is to place the mapping, there must be room",
    errno: "ENOSPC",
    source: iommufdSource("io_pagetable", "iopt_alloc_iova"),
  },
  "IOMMUFD-MAP-12": {
    ...IOMMUFD,
    rule: "the user address must be a multiple of the IOAS's alignment, within its page",
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
    rule: "iova brings where the mapping is: where it was asked for, or any place that is aligned, unused and not reserved",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_map",
    observable: "output",
  },
});

const FIXED_IOVA = 1;
const WRITEABLE = 2;
const READABLE = 4;

const IoasMap = layout("iommu_ioas_map", {
  size: field.argsz(),
  flags: field.flags({
    IOMMU_IOAS_MAP_FIXED_IOVA: FIXED_IOVA,
    IOMMU_IOAS_MAP_WRITEABLE: WRITEABLE,
    IOMMU_IOAS_MAP_READABLE: READABLE,
  }),
  ioas_id: field.id("ioas"),
  __reserved: field.reserved32(),
  user_va: field.userAddress(),
  length: field.length(),
  iova: field.iova(),
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
    must((flags & ~(FIXED_IOVA | WRITEABLE | READABLE)) === 0 && block.u32(12) === 0, rule["IOMMUFD-MAP-1"]);
    const length = block.u64(24);
    const iova = block.u64(IOVA);
    must(iova !== U64_MAX && length !== U64_MAX, rule["IOMMUFD-MAP-2"]);
    must((flags & (WRITEABLE | READABLE)) !== 0, rule["IOMMUFD-MAP-3"]);
    using ioas = k.ioas.get(context, block.u32(8), rule["IOMMUFD-MAP-4"]);
    const userAddress = block.u64(16);
    k.ioas.checkUserRange(k, userAddress, length);
    const counted = k.task.credentials.has("CAP_IPC_LOCK") ? null : context.accounting;
    const area = new Area(userAddress, length, (flags & WRITEABLE) !== 0, counted);
    const fixed = (flags & FIXED_IOVA) !== 0;
    yield* k.ioas.claim(k, ioas, area, fixed ? iova : null);
    try {
      using _ = yield* k.lock(ioas.pagetable.domainsRwsem);
      if (ioas.hwpts.length > 0) yield* k.ioas.pin(k, area);
      if (!k.ioas.canAnswer(block, IoasMap.size)) {
        yield* k.ioas.unpin(k, area);
        refuse(rule["IOMMUFD-MAP-13"]);
      }
      yield* k.ioas.publish(k, ioas, area, fixed ? null : CHOSEN_IOVA);
    } catch (refusal) {
      yield* k.ioas.abort(k, ioas, area);
      throw refusal;
    }
    block.put(IOVA, 8, area.start, rule["IOMMUFD-MAP-13"]);
    k.keeps(rule["IOMMUFD-MAP-14"]);
    return 0;
  },
});

export const steps = {
  /** iopt_alloc_area_pages: takes the range, so that no other mapping can have it while the pages are pinned. */
  *claim(k: Kernel, { pagetable }: Ioas, area: Area, fixed: bigint | null): Operation<void> {
    using _ = yield* k.lock(pagetable.iovaRwsem);
    must((area.length & (pagetable.alignment - 1n)) === 0n, rule["IOMMUFD-MAP-5"]);
    const iova = fixed === null ? k.ioas.allocIova(pagetable, area) : k.ioas.checkIova(pagetable, area, fixed);
    must((area.pageOffset & (pagetable.alignment - 1n)) === 0n, rule["IOMMUFD-MAP-12"]);
    pagetable.insert(area, iova);
  },

  /** iopt_check_iova */
  checkIova(pagetable: IoPagetable, { length }: Area, iova: bigint): bigint {
    const last = iova + length - 1n;
    must((iova & (pagetable.alignment - 1n)) === 0n, rule["IOMMUFD-MAP-6"]);
    must(last <= U64_MAX, rule["IOMMUFD-MAP-7"]);
    must(!pagetable.firstReserved(iova, last), rule["IOMMUFD-MAP-8"]);
    must(!pagetable.firstArea(iova, last), rule["IOMMUFD-MAP-9"]);
    return iova;
  },

  /** iopt_alloc_iova */
  allocIova(pagetable: IoPagetable, area: Area): bigint {
    must(area.length < U64_MAX / 2n, rule["IOMMUFD-MAP-10"]);
    must((area.pageOffset & (pagetable.alignment - 1n)) === 0n, rule["IOMMUFD-MAP-12"]);
    const iova = pagetable.findHole(area.userAddress, area.length);
    must(iova !== undefined, rule["IOMMUFD-MAP-11"]);
    return iova;
  },

  /** The end of iopt_map_pages: the mapping is there from now on, where the kernel chose to put it. */
  *publish(k: Kernel, { pagetable }: Ioas, area: Area, site: ChoiceSite | null): Operation<void> {
    using _ = yield* k.lock(pagetable.iovaRwsem);
    if (site) {
      const own = area.start;
      const iova = k.choose(site, own, (value) => {
        if (value === own) return true;
        const last = value + area.length - 1n;
        return (value & (pagetable.alignment - 1n)) === 0n && last <= U64_MAX && pagetable.isFreeFor(area, value, last);
      });
      if (iova !== own) {
        pagetable.remove(area);
        pagetable.insert(area, iova);
      }
    }
    area.ready = true;
  },

  /** iopt_abort_area: gives the range up again. */
  *abort(k: Kernel, { pagetable }: Ioas, area: Area): Operation<void> {
    using _ = yield* k.lock(pagetable.iovaRwsem);
    pagetable.remove(area);
  },
};
