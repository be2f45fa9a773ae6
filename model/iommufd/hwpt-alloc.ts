/** IOMMU_HWPT_ALLOC: page tables that user space asks for. Beside drivers/iommu/iommufd/hw_pagetable.c. */
import type { UserData } from "../iommu/driver.ts";
import { opsOf } from "../iommu/ops.ts";
import { clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { field, fieldOf, layout, offsetOfEnd } from "../uapi/layout.ts";
import { versionNumber } from "../uapi/version.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { commandView, respondSize } from "./command.ts";
import { DirtyLog } from "./dirty-log.ts";
import type { IommufdFile } from "./file.ts";
import { NestedHwpt } from "./nested-hwpt.ts";
import { type AnyHwpt, Hwpt, type Ioas, type IommufdContext, type IommufdDevice } from "./objects.ts";

const source = (name: string) => iommufdSource("hw_pagetable", name);
const HEADER = "include/uapi/linux/iommufd.h:iommu_hwpt_alloc";
const HWPT = { ...IOMMUFD, since: "6.6" } as const;

export const rule = clauses({
  "IOMMUFD-HWPT-1": {
    ...HWPT,
    rule: "reserved fields must be zero",
    errno: "EOPNOTSUPP",
    source: HEADER,
  },
  "IOMMUFD-HWPT-2": {
    ...HWPT,
    rule: "data has a type and a length, or neither",
    errno: "EINVAL",
    source: HEADER,
  },
  "IOMMUFD-HWPT-3": {
    ...HWPT,
    rule: "dev_id must be the id of a physical device that is bound",
    errno: "ENOENT",
    source: source("iommufd_hwpt_alloc"),
  },
  "IOMMUFD-HWPT-4": {
    ...HWPT,
    rule: "pt_id must be the id of an object",
    errno: "ENOENT",
    source: "include/uapi/linux/iommufd.h:General ioctl format",
  },
  "IOMMUFD-HWPT-5": {
    ...HWPT,
    rule: "a page table is made for an IOAS, or nested in another that is itself made for one",
    errno: "EINVAL",
    source: source("iommufd_hwpt_alloc"),
  },
  "IOMMUFD-HWPT-6": {
    ...HWPT,
    rule: "for an IOAS only flags are taken that the kernel knows of; before 6.13 a fault queue is none of them",
    errno: "EOPNOTSUPP",
    source: source("iommufd_hwpt_paging_alloc"),
  },
  "IOMMUFD-HWPT-7": {
    ...HWPT,
    rule: "a page table that tells what was written is only made for a device whose IOMMU can",
    errno: "EOPNOTSUPP",
    source: source("iommufd_hwpt_paging_alloc"),
    since: "6.7",
  },
  "IOMMUFD-HWPT-8": {
    ...HWPT,
    rule: "a page table that others are to be nested in has no fault queue",
    errno: "EOPNOTSUPP",
    source: source("iommufd_hwpt_paging_alloc"),
    since: "6.13",
  },
  "IOMMUFD-HWPT-9": {
    ...HWPT,
    rule: "a nested page table is made of data, and takes no flags but for a fault queue, and since 6.15 for PASIDs",
    errno: "EOPNOTSUPP",
    source: source("iommufd_hwpt_nested_alloc"),
    since: "6.7",
  },
  "IOMMUFD-HWPT-10": {
    ...HWPT,
    rule: "a page table can only be nested in one that was asked for as a parent, and is of the same IOMMU's driver",
    errno: "EINVAL",
    source: source("iommufd_hwpt_nested_alloc"),
    since: "6.7",
  },
  "IOMMUFD-HWPT-11": {
    ...HWPT,
    rule: "with IOMMU_HWPT_FAULT_ID_VALID fault_id must be the id of a fault queue; otherwise nothing is made",
    errno: "ENOENT",
    source: source("iommufd_hwpt_alloc"),
    since: "6.13",
  },
  "IOMMUFD-HWPT-15": {
    ...HWPT,
    kconfig: ["IOMMUFD", "IOMMUFD_TEST"],
    machine: "mock",
    rule: "before 6.13 only nested page tables have fault queues, and fault_id must be the id of one",
    errno: "ENOENT",
    source: source("iommufd_hwpt_alloc"),
    since: "6.11",
    until: "6.12",
  },
  "IOMMUFD-HWPT-12": {
    ...HWPT,
    rule: "the struct must be writable; where it is not, nothing is made",
    errno: "EFAULT",
    source: source("iommufd_hwpt_alloc"),
  },
  "IOMMUFD-HWPT-13": {
    ...HWPT,
    rule: "out_hwpt_id brings the id of a new page table; what it is made from is in use as long as it is there",
    source: HEADER,
    observable: "output",
  },
  "IOMMUFD-HWPT-14": {
    ...HWPT,
    rule: "a page table for an IOAS has all its mappings at once, though no device is attached to it",
    source: HEADER,
    observable: "later-call",
  },
});

export const HWPT_FLAGS = { NEST_PARENT: 1, DIRTY_TRACKING: 2, FAULT_ID_VALID: 4, PASID: 8 } as const;
const { NEST_PARENT, DIRTY_TRACKING, FAULT_ID_VALID, PASID } = HWPT_FLAGS;
const DIRTY_SINCE = versionNumber("6.7");
const QUEUES_SINCE = versionNumber("6.11");
/** Fault queues of page tables that are not nested. */
const PAGING_QUEUES_SINCE = versionNumber("6.13");
const PASIDS_SINCE = versionNumber("6.15");

/** struct iommu_hwpt_selftest; real IOMMUs of the suite's machines take no data. */
const TableData = layout("iommu_hwpt_selftest", {
  iotlb: field.value32(0x0bad_beef, 1, 0),
  pagetable_type: field.value32(0, 1, 2),
});

const HwptAlloc = layout("iommu_hwpt_alloc", {
  size: field.argsz(),
  flags: field.flags(
    {
      IOMMU_HWPT_ALLOC_NEST_PARENT: NEST_PARENT,
      IOMMU_HWPT_ALLOC_DIRTY_TRACKING: DIRTY_TRACKING,
      IOMMU_HWPT_FAULT_ID_VALID: FAULT_ID_VALID,
      IOMMU_HWPT_ALLOC_PASID: PASID,
    },
    0,
    0,
    NEST_PARENT,
    NEST_PARENT,
    DIRTY_TRACKING,
    DIRTY_TRACKING,
    FAULT_ID_VALID,
    PASID,
  ),
  dev_id: field.id("devid"),
  pt_id: field.id("ioas", "hwpt", "viommu"),
  out_hwpt_id: field.out32("hwpt"),
  __reserved: field.reserved32(),
  data_type: field.later(field.value32(0, 0xdead, 1)),
  data_len: field.later(field.value32(0, 8, 4, 3, 12)),
  data_uptr: field.later(field.pointer(TableData)),
  fault_id: field.later(field.id("fault")),
  __reserved2: field.later(field.reserved32()),
});

/** Bytes of the struct that a caller must know. */
export const HWPT_ALLOC_MIN_SIZE = offsetOfEnd(HwptAlloc, "__reserved");
const OUT_HWPT_ID = fieldOf(HwptAlloc, "out_hwpt_id").offset;
const CHOSEN_ID: ChoiceSite = { at: "field", offset: OUT_HWPT_ID, width: 4 };

export const hwptAlloc = ioctl<IommufdFile>({
  name: "IOMMU_HWPT_ALLOC",
  request: vfioRequest(0x89),
  argument: { kind: "struct", layout: HwptAlloc },
  on: ["iommufd"],
  since: "6.6",
  weight: 0.3,
  useful: (_k, { context }) => context.some("device") && context.some("ioas"),
  *run(k, { context }, { block, at }): Operation<number> {
    const command = commandView(block, HwptAlloc.size);
    const flags = command.getUint32(4, true);
    must(command.getUint32(20, true) === 0 && k.iommufdDevice.isPadded(command), rule["IOMMUFD-HWPT-1"]);
    const type = command.getUint32(24, true);
    const length = command.getUint32(28, true);
    must(k.iommufdDevice.isDataWhole(type, length), rule["IOMMUFD-HWPT-2"]);
    using device = k.iommufdDevice.get(context, command.getUint32(8, true), rule["IOMMUFD-HWPT-3"]);
    using pt = k.iommufdDevice.hwptBase(context, command.getUint32(12, true));
    must(pt.kind === "ioas" || pt.kind === "hwpt" || pt.kind === "viommu", rule["IOMMUFD-HWPT-5"]);
    // No device is attached to the IOAS by itself before the page table has its id.
    using _ = pt.kind === "ioas" ? yield* k.lock(pt.mutex) : null;
    const data: UserData = { type, length, block: at(command.getBigUint64(32, true)) };
    const hwpt =
      pt.kind === "ioas"
        ? yield* k.iommufdDevice.allocPaging(k, device, pt, flags, length > 0 ? data : null)
        : pt.kind === "viommu"
          ? k.iommufdDevice.allocNestedInViommu(k, device, pt, flags, data)
          : k.iommufdDevice.allocNested(k, device, pt, flags, data);
    try {
      if (flags & FAULT_ID_VALID) k.iommufdDevice.setFault(k, hwpt, command.getUint32(40, true));
      must(block.canWrite(respondSize(block, HwptAlloc.size)), rule["IOMMUFD-HWPT-12"]);
    } catch (refusal) {
      yield* k.iommufdDevice.abortHwpt(k, hwpt);
      throw refusal;
    }
    context.publish(hwpt, k.iommufd.chooseId(k, context, CHOSEN_ID));
    block.put(OUT_HWPT_ID, 4, hwpt.id, rule["IOMMUFD-HWPT-12"]);
    k.keeps(rule["IOMMUFD-HWPT-13"]);
    return 0;
  },
});

export const steps = {
  /** Whether data has both a type and a length, or is none. */
  isDataWhole(type: number, length: number): boolean {
    return (type === 0) === (length === 0);
  },

  /** Whether the padding at the end is zero, as the header asks. */
  isPadded(command: DataView): boolean {
    return command.getUint32(44, true) === 0;
  },

  /** What a page table is to be made from; drop it with `using`. */
  hwptBase(context: IommufdContext, id: number) {
    const object = context.get(id);
    must(object !== undefined, rule["IOMMUFD-HWPT-4"]);
    return object.hold();
  },

  /** iommufd_hwpt_paging_alloc for a caller, under the mutex of the IOAS. */
  *allocPaging(
    k: Kernel,
    { device }: IommufdDevice,
    ioas: Ioas,
    flags: number,
    data: UserData | null,
  ): Operation<Hwpt> {
    must((flags & ~k.iommufdDevice.pagingFlags(k)) === 0, rule["IOMMUFD-HWPT-6"]);
    must((flags & DIRTY_TRACKING) === 0 || device.dirtyTracking, rule["IOMMUFD-HWPT-7"]);
    must((flags & FAULT_ID_VALID) === 0 || (flags & NEST_PARENT) === 0, rule["IOMMUFD-HWPT-8"]);
    k.alloc();
    const ops = opsOf(device);
    const hwpt = new Hwpt(ioas, device, false, ops.allocPaging(k, device, flags, data));
    hwpt.nestParent = (flags & NEST_PARENT) !== 0;
    hwpt.forPasids = (flags & PASID) !== 0;
    hwpt.enforceCacheCoherency = ops.enforcesCacheCoherency(k);
    if (flags & DIRTY_TRACKING) hwpt.dirty = new DirtyLog(hwpt.pageSize);
    try {
      yield* k.ioas.addDomain(k, ioas, hwpt);
    } catch (refusal) {
      yield* k.iommufdDevice.abortHwpt(k, hwpt);
      throw refusal;
    }
    k.keeps(rule["IOMMUFD-HWPT-14"]);
    return hwpt;
  },

  /** The flags that a page table of an IOAS can be asked for with. */
  pagingFlags({ version }: Kernel): number {
    let known: number = NEST_PARENT;
    if (version >= DIRTY_SINCE) known |= DIRTY_TRACKING;
    if (version >= PAGING_QUEUES_SINCE) known |= FAULT_ID_VALID;
    if (version >= PASIDS_SINCE) known |= PASID;
    return known;
  },

  /** iommufd_hwpt_nested_alloc */
  allocNested(k: Kernel, { device }: IommufdDevice, parent: Hwpt, flags: number, data: UserData): NestedHwpt {
    const known = (k.version >= QUEUES_SINCE ? FAULT_ID_VALID : 0) | (k.version >= PASIDS_SINCE ? PASID : 0);
    must((flags & ~known) === 0 && data.length > 0, rule["IOMMUFD-HWPT-9"]);
    must(!parent.auto && parent.nestParent && parent.driver === device.iommuDriver, rule["IOMMUFD-HWPT-10"]);
    k.alloc();
    return new NestedHwpt(parent, opsOf(device).allocNested(k, device, data), (flags & PASID) !== 0);
  },

  /** The fault queue of a page table that is being made, which is in use from now on. */
  setFault({ version }: Kernel, hwpt: AnyHwpt, id: number): void {
    const queue = hwpt.context.get(id);
    must(queue?.kind === "fault", rule[version < PAGING_QUEUES_SINCE ? "IOMMUFD-HWPT-15" : "IOMMUFD-HWPT-11"]);
    queue.users++;
    hwpt.fault = queue;
  },
};
