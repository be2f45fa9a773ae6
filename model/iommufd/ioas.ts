/** I/O address spaces: IOMMU_IOAS_ALLOC, and what narrows an IOAS. Beside drivers/iommu/iommufd/ioas.c and io_pagetable.c. */
import type { IommuDevice } from "../iommu/device.ts";
import type { Translation } from "../iommu/dma.ts";
import { type Clause, clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { field, fieldOf, layout } from "../uapi/layout.ts";
import { U64_MAX } from "../uapi/u64.ts";
import { versionNumber } from "../uapi/version.ts";
import { steps as allowIovas } from "./allow-iovas.ts";
import type { Area } from "./area.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { steps as copy } from "./copy.ts";
import type { IommufdFile } from "./file.ts";
import { type IoPagetable, PAGE_SIZE, type Range } from "./io-pagetable.ts";
import { steps as iovaRanges } from "./iova-ranges.ts";
import { steps as map } from "./map-areas.ts";
import { steps as mapFile } from "./map-file.ts";
import { type Access, type Hwpt, Ioas, type IommufdContext } from "./objects.ts";
import { steps as pages } from "./pages.ts";
import { steps as unmap } from "./unmap.ts";

export const rule = clauses({
  "IOMMUFD-ALLOC-1": {
    ...IOMMUFD,
    rule: "flags must be zero",
    errno: "EOPNOTSUPP",
    source: iommufdSource("ioas", "iommufd_ioas_alloc_ioctl"),
  },
  "IOMMUFD-ALLOC-2": {
    ...IOMMUFD,
    rule: "the struct must be writable; where it is not, no IOAS is left",
    errno: "EFAULT",
    source: iommufdSource("ioas", "iommufd_ioas_alloc_ioctl"),
  },
  "IOMMUFD-ALLOC-3": {
    ...IOMMUFD,
    rule: "out_ioas_id brings the id of a new IOAS in which nothing is mapped or reserved",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_alloc",
    observable: "output",
  },
  "IOMMUFD-IOAS-1": {
    ...IOMMUFD,
    rule: "what works on pages can't join an IOAS while it holds a mapping that is not aligned to them",
    errno: "EADDRINUSE",
    source: iommufdSource("io_pagetable", "iopt_check_iova_alignment"),
  },
  "IOMMUFD-IOAS-2": {
    ...IOMMUFD,
    rule: "no hwpt can join an IOAS that holds a mapping outside of its aperture",
    errno: "EADDRINUSE",
    source: iommufdSource("io_pagetable", "iopt_table_add_domain"),
  },
  "IOMMUFD-IOAS-3": {
    ...IOMMUFD,
    rule: "no device can be attached while something is mapped in a range that it reserves",
    errno: "EADDRINUSE",
    source: iommufdSource("io_pagetable", "iopt_reserve_iova"),
  },
  "IOMMUFD-IOAS-4": {
    ...IOMMUFD,
    rule: "large pages can't be switched off while an hwpt holds mappings",
    errno: "EINVAL",
    source: iommufdSource("io_pagetable", "iopt_disable_large_pages"),
  },
  "IOMMUFD-IOAS-5": {
    ...IOMMUFD,
    rule: "no device can be attached that would reserve a part of an allowed range",
    errno: "EADDRINUSE",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_allow_iovas",
  },
});

const IoasAlloc = layout("iommu_ioas_alloc", {
  size: field.argsz(),
  flags: field.flags(),
  out_ioas_id: field.out32("ioas"),
});

const OUT_IOAS_ID = fieldOf(IoasAlloc, "out_ioas_id").offset;
/** IOMMU_IOAS_CHANGE_PROCESS brought a lock that keeps new IOASes out. */
const CREATION_LOCK_SINCE = versionNumber("6.14");
const CHOSEN_ID: ChoiceSite = { at: "field", offset: OUT_IOAS_ID, width: 4 };

export const ioasAlloc = ioctl<IommufdFile>({
  name: "IOMMU_IOAS_ALLOC",
  request: vfioRequest(0x81),
  argument: { kind: "struct", layout: IoasAlloc },
  on: ["iommufd"],
  since: "6.2",
  *run(k, { context }, { block }): Operation<number> {
    must(block.u32(4) === 0, rule["IOMMUFD-ALLOC-1"]);
    must(block.canWrite(IoasAlloc.size), rule["IOMMUFD-ALLOC-2"]);
    k.alloc();
    const ioas = new Ioas(context);
    const id = k.iommufd.chooseId(k, context, CHOSEN_ID);
    if (k.version >= CREATION_LOCK_SINCE) {
      using _ = yield* k.lock(context.ioasCreationLock);
      context.publish(ioas, id);
    } else {
      context.publish(ioas, id);
    }
    block.put(OUT_IOAS_ID, 4, id, rule["IOMMUFD-ALLOC-2"]);
    k.keeps(rule["IOMMUFD-ALLOC-3"]);
    return 0;
  },
});

const isReady = ({ ready }: Area): boolean => ready;

export const steps = {
  ...iovaRanges,
  ...map,
  ...unmap,
  ...pages,
  ...copy,
  ...mapFile,
  ...allowIovas,

  /** iommufd_get_ioas: the IOAS of that id, held for the call in flight; drop it with `using`. */
  get(context: IommufdContext, id: number, refusedBy: Clause): Ioas {
    const object = context.get(id);
    must(object?.kind === "ioas", refusedBy);
    return object.hold();
  },

  /** iommufd_ioas_destroy: nothing uses it any more, so its mappings go with it. */
  *destroy(k: Kernel, ioas: Ioas): Operation<void> {
    using _ = yield* k.lock(ioas.pagetable.domainsRwsem);
    yield* k.ioas.removeAreas(k, ioas, [...ioas.pagetable.areas]);
  },

  /** What the page tables of an IOAS have for an address. */
  translate({ pagetable }: Ioas, iova: bigint): Translation | null {
    const [area] = pagetable.areasIn(iova, iova);
    if (!area?.filled) return null;
    const { pages, readable, writable } = area;
    return { of: pages.file ?? pages.owner.mm, address: area.address + iova - area.start, readable, writable };
  },

  /** iopt_table_add_domain: the hwpt gets every mapping of the IOAS, or nothing has happened. */
  *addDomain(k: Kernel, ioas: Ioas, hwpt: Hwpt): Operation<void> {
    const { pagetable } = ioas;
    using _ = yield* k.lock(pagetable.domainsRwsem);
    using _iova = yield* k.lock(pagetable.iovaRwsem);
    const { pageSize, aperture } = hwpt;
    let { alignment } = pagetable;
    if (pageSize > alignment) alignment = pageSize;
    must(alignment === pagetable.alignment || pagetable.conformsTo(alignment), rule["IOMMUFD-IOAS-1"]);
    k.alloc();
    try {
      const mapped = rule["IOMMUFD-IOAS-2"];
      if (aperture.start > 0n) {
        k.ioas.reserveRange(pagetable, { start: 0n, last: aperture.start - 1n }, hwpt, mapped);
      }
      if (aperture.last < U64_MAX) {
        k.ioas.reserveRange(pagetable, { start: aperture.last + 1n, last: U64_MAX }, hwpt, mapped);
      }
      // One that is being made is pinned by its maker.
      if (ioas.hwpts.length === 0) yield* k.ioas.pinAreas(k, pagetable.areas.filter(isReady));
    } catch (refusal) {
      pagetable.unreserve(hwpt);
      throw refusal;
    }
    ioas.hwpts.push(hwpt);
    pagetable.alignment = alignment;
  },

  /** iopt_table_remove_domain */
  *removeDomain(k: Kernel, ioas: Ioas, hwpt: Hwpt): Operation<void> {
    const { pagetable } = ioas;
    using _ = yield* k.lock(pagetable.domainsRwsem);
    using _iova = yield* k.lock(pagetable.iovaRwsem);
    ioas.hwpts.splice(ioas.hwpts.indexOf(hwpt), 1);
    if (ioas.hwpts.length === 0) {
      for (const area of pagetable.areas) yield* k.ioas.unpin(k, area);
    }
    pagetable.unreserve(hwpt);
    k.ioas.calculateAlignment(ioas);
  },

  /** iopt_add_access: an emulated device works on whole pages. */
  *addAccess(k: Kernel, ioas: Ioas, access: Access): Operation<void> {
    using _ = yield* k.lock(ioas.pagetable.domainsRwsem);
    using _iova = yield* k.lock(ioas.pagetable.iovaRwsem);
    k.alloc();
    ioas.accesses.push(access);
    try {
      k.ioas.calculateAlignment(ioas);
    } catch (refusal) {
      ioas.accesses.pop();
      throw refusal;
    }
  },

  /** iopt_remove_access */
  *removeAccess(k: Kernel, ioas: Ioas, access: Access): Operation<void> {
    using _ = yield* k.lock(ioas.pagetable.domainsRwsem);
    using _iova = yield* k.lock(ioas.pagetable.iovaRwsem);
    ioas.accesses.splice(ioas.accesses.indexOf(access), 1);
    k.ioas.calculateAlignment(ioas);
  },

  /** iopt_calculate_iova_alignment: what suits all that use the IOAS. */
  calculateAlignment({ pagetable, hwpts, accesses, disableLargePages }: Ioas): void {
    let alignment = disableLargePages ? PAGE_SIZE : 1n;
    for (const { pageSize } of hwpts) if (pageSize > alignment) alignment = pageSize;
    for (const access of accesses) if (access.alignment > alignment) alignment = access.alignment;
    must(alignment <= pagetable.alignment || pagetable.conformsTo(alignment), rule["IOMMUFD-IOAS-1"]);
    pagetable.alignment = alignment;
  },

  /** iopt_table_enforce_dev_resv_regions: all that a device can't have mapped, or nothing. */
  *reserve(k: Kernel, { pagetable }: Ioas, device: IommuDevice): Operation<void> {
    using _ = yield* k.lock(pagetable.iovaRwsem);
    try {
      for (const range of device.reservedRegions) {
        k.ioas.reserveRange(pagetable, range, device, rule["IOMMUFD-IOAS-3"]);
      }
    } catch (refusal) {
      pagetable.unreserve(device);
      throw refusal;
    }
  },

  /** iopt_reserve_iova: refuses by a clause of the owner's where something is mapped. */
  reserveRange(pagetable: IoPagetable, { start, last }: Range, owner: object, mapped: Clause): void {
    must(!pagetable.firstArea(start, last), mapped);
    must(pagetable.isReservable(start, last), rule["IOMMUFD-IOAS-5"]);
    pagetable.reserve(start, last, owner);
  },

  /** iopt_remove_reserved_iova */
  *unreserve(k: Kernel, { pagetable }: Ioas, device: IommuDevice): Operation<void> {
    using _ = yield* k.lock(pagetable.iovaRwsem);
    pagetable.unreserve(device);
  },

  /** iopt_disable_large_pages and iopt_enable_large_pages */
  *setLargePages(k: Kernel, ioas: Ioas, on: boolean): Operation<void> {
    using _ = yield* k.lock(ioas.pagetable.domainsRwsem);
    using _iova = yield* k.lock(ioas.pagetable.iovaRwsem);
    const before = ioas.disableLargePages;
    if (before === !on) return;
    if (!on) must(ioas.hwpts.length === 0 || ioas.pagetable.areas.length === 0, rule["IOMMUFD-IOAS-4"]);
    ioas.disableLargePages = !on;
    try {
      k.ioas.calculateAlignment(ioas);
    } catch (refusal) {
      ioas.disableLargePages = before;
      throw refusal;
    }
  },
};
