/** Virtual IOMMUs: what a VM is to see of the IOMMU in front of its devices, IOMMU_VIOMMU_ALLOC. Beside drivers/iommu/iommufd/viommu.c. */
import type { IommuDriver } from "../iommu/device.ts";
import type { DriverViommu, UserData } from "../iommu/driver.ts";
import { opsOf } from "../iommu/ops.ts";
import { type Clause, clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import { type FieldSpec, field, fieldOf, layout, offsetOfEnd } from "../uapi/layout.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { commandView, respondSize } from "./command.ts";
import type { IommufdFile } from "./file.ts";
import { HWPT_FLAGS } from "./hwpt-alloc.ts";
import { NestedHwpt } from "./nested-hwpt.ts";
import { Counted, type Hwpt, type IommufdContext, type IommufdDevice } from "./objects.ts";
import type { Vdevice } from "./vdevice.ts";
import type { VeventQueue } from "./vevent-queue.ts";

const source = (name: string) => iommufdSource("viommu", name);
const HEADER = "include/uapi/linux/iommufd.h:iommu_viommu_alloc";
export const VIOMMU = { ...IOMMUFD, since: "6.13" } as const;
/** Only the mock's driver makes any on the suite's machines. */
export const MOCK_VIOMMU = { since: "6.13", kconfig: ["IOMMUFD", "IOMMUFD_TEST"], machine: "mock" } as const;

export const rule = clauses({
  "IOMMUFD-VIOMMU-1": {
    ...VIOMMU,
    rule: "flags and the reserved field must be zero, and a type must be given",
    errno: "EOPNOTSUPP",
    source: HEADER,
  },
  "IOMMUFD-VIOMMU-2": {
    ...VIOMMU,
    rule: "dev_id must be the id of a physical device that is bound",
    errno: "ENOENT",
    source: source("iommufd_viommu_alloc_ioctl"),
  },
  "IOMMUFD-VIOMMU-3": {
    ...VIOMMU,
    rule: "the type must be one that the driver of the device's IOMMU makes",
    errno: "EOPNOTSUPP",
    source: source("iommufd_viommu_alloc_ioctl"),
  },
  "IOMMUFD-VIOMMU-4": {
    ...MOCK_VIOMMU,
    rule: "hwpt_id must be the id of a page table that is made for an IOAS",
    errno: "ENOENT",
    source: source("iommufd_viommu_alloc_ioctl"),
  },
  "IOMMUFD-VIOMMU-5": {
    ...MOCK_VIOMMU,
    rule: "the page table must have been asked for as one that others are nested in",
    errno: "EINVAL",
    source: source("iommufd_viommu_alloc_ioctl"),
  },
  "IOMMUFD-VIOMMU-6": {
    ...MOCK_VIOMMU,
    rule: "the struct must be writable; where it is not, nothing is made",
    errno: "EFAULT",
    source: source("iommufd_viommu_alloc_ioctl"),
  },
  "IOMMUFD-VIOMMU-7": {
    ...MOCK_VIOMMU,
    rule: "out_viommu_id brings the id of a new virtual IOMMU, which uses its page table as long as it is there",
    source: HEADER,
    observable: "output",
  },
  "IOMMUFD-VIOMMU-8": {
    ...MOCK_VIOMMU,
    rule: "a page table can be nested in a virtual IOMMU by a device behind the same IOMMU only",
    errno: "EINVAL",
    source: iommufdSource("hw_pagetable", "iommufd_hwpt_alloc"),
    unseen: "a machine with two IOMMUs that can nest is none of the suite's",
  },
  "IOMMUFD-VIOMMU-9": {
    ...MOCK_VIOMMU,
    rule: "a page table that is nested in a virtual IOMMU is made of data, and takes no flags but for a fault queue and PASIDs",
    errno: "EOPNOTSUPP",
    source: iommufdSource("hw_pagetable", "iommufd_viommu_alloc_hwpt_nested"),
  },
});

const veventqsRwsem = new LockClass("viommu->veventqs_rwsem");

/** struct iommufd_viommu. It uses its page table; who is in it, or nested in it, uses it. */
export class Viommu extends Counted {
  readonly kind = "viommu";
  readonly hwpt: Hwpt;
  /** Who is in charge of the IOMMU that it is a part of. */
  readonly driver: IommuDriver;
  /** What of it the driver keeps; null until the driver has made it. */
  own: DriverViommu | null = null;
  /** Devices of the VM by the ids that they have there. */
  readonly vdevices = new Map<bigint, Vdevice>();
  readonly queues: VeventQueue[] = [];
  readonly veventqsRwsem = new Lock(veventqsRwsem);

  constructor(hwpt: Hwpt, driver: IommuDriver) {
    super(hwpt.context);
    this.hwpt = hwpt;
    this.driver = driver;
    hwpt.users++;
  }

  override trace(): number {
    return this.hwpt.id * 31 + this.vdevices.size * 7 + this.queues.length + (this.own?.trace() ?? 0) * 101;
  }
}

/** IOMMU_VIOMMU_TYPE_SELFTEST */
export const SELFTEST_VIOMMU = 0xdead_beef;

/** struct iommu_viommu_selftest; the drivers of real IOMMUs have other data. */
const ViommuData = layout("iommu_viommu_selftest", {
  in_data: field.value32(0x5a5a, 0, 0xffff_ffff),
  out_data: field.out32(),
  out_mmap_offset: field.out64(),
  out_mmap_length: field.out64(),
});

const type: FieldSpec = field.value32(SELFTEST_VIOMMU, SELFTEST_VIOMMU, SELFTEST_VIOMMU, SELFTEST_VIOMMU, 0, 1, 2);

const ViommuAlloc = layout("iommu_viommu_alloc", {
  size: field.argsz(),
  flags: field.flags(),
  type,
  dev_id: field.id("devid"),
  hwpt_id: field.id("hwpt"),
  out_viommu_id: field.out32("viommu"),
  data_len: field.later(field.value32(0, ViommuData.size, ViommuData.size, 8, 7, ViommuData.size + 1)),
  __reserved: field.later(field.reserved32()),
  data_uptr: field.later(field.pointer(ViommuData)),
});

/** Bytes of the struct that a caller must know. */
export const VIOMMU_ALLOC_MIN_SIZE = offsetOfEnd(ViommuAlloc, "out_viommu_id");
const OUT_VIOMMU_ID = fieldOf(ViommuAlloc, "out_viommu_id").offset;
const CHOSEN_ID: ChoiceSite = { at: "field", offset: OUT_VIOMMU_ID, width: 4 };

export const viommuAlloc = ioctl<IommufdFile>({
  name: "IOMMU_VIOMMU_ALLOC",
  request: vfioRequest(0x90),
  argument: { kind: "struct", layout: ViommuAlloc },
  on: ["iommufd"],
  since: "6.13",
  weight: 0.5,
  useful: (_k, { context }) => context.some("device") && context.some("hwpt"),
  *run(k, { context }, { block, at }): Operation<number> {
    const command = commandView(block, ViommuAlloc.size);
    const type = command.getUint32(8, true);
    must(command.getUint32(4, true) === 0 && type !== 0, rule["IOMMUFD-VIOMMU-1"]);
    must(k.iommufdDevice.isReservedZero(command.getUint32(28, true)), rule["IOMMUFD-VIOMMU-1"]);
    using device = k.iommufdDevice.get(context, command.getUint32(12, true), rule["IOMMUFD-VIOMMU-2"]);
    const { viommu: driver } = opsOf(device.device);
    must(driver !== null && driver.type === type, rule["IOMMUFD-VIOMMU-3"]);
    const hwpt = context.get(command.getUint32(16, true));
    must(hwpt?.kind === "hwpt", rule["IOMMUFD-VIOMMU-4"]);
    must(hwpt.nestParent, rule["IOMMUFD-VIOMMU-5"]);
    if (hwpt.driver !== device.device.iommuDriver)
      throw new Unmodelled("a virtual IOMMU on another driver's page table");
    const length = command.getUint32(24, true);
    const data: UserData | null = length > 0 ? { type, length, block: at(command.getBigUint64(32, true)) } : null;
    k.alloc();
    const viommu = new Viommu(hwpt, device.device.iommuDriver);
    try {
      viommu.own = driver.init(k, viommu, data);
      must(block.canWrite(respondSize(block, ViommuAlloc.size)), rule["IOMMUFD-VIOMMU-6"]);
    } catch (refusal) {
      k.iommufdDevice.destroyViommu(viommu);
      throw refusal;
    }
    context.publish(viommu, k.iommufd.chooseId(k, context, CHOSEN_ID));
    block.put(OUT_VIOMMU_ID, 4, viommu.id, rule["IOMMUFD-VIOMMU-6"]);
    k.keeps(rule["IOMMUFD-VIOMMU-7"]);
    return 0;
  },
});

export const steps = {
  /** Whether the reserved field of IOMMU_VIOMMU_ALLOC is as the header asks. */
  isReservedZero(reserved: number): boolean {
    return reserved === 0;
  },

  /** iommufd_viommu_destroy */
  destroyViommu(viommu: Viommu): void {
    viommu.own?.destroy();
    viommu.hwpt.users--;
  },

  /** iommufd_viommu_alloc_hwpt_nested: it uses the virtual IOMMU, and by that the parent. */
  allocNestedInViommu(k: Kernel, { device }: IommufdDevice, viommu: Viommu, flags: number, data: UserData): NestedHwpt {
    must(viommu.driver === device.iommuDriver, rule["IOMMUFD-VIOMMU-8"]);
    const known = HWPT_FLAGS.FAULT_ID_VALID | (k.since("6.15") ? HWPT_FLAGS.PASID : 0);
    must((flags & ~known) === 0 && data.length > 0, rule["IOMMUFD-VIOMMU-9"]);
    const table = opsOf(device).allocNested(k, device, data);
    return new NestedHwpt(viommu.hwpt, table, (flags & HWPT_FLAGS.PASID) !== 0, viommu);
  },

  /** The virtual IOMMU of that id, held for the call in flight; drop it with `using`. */
  viommu(context: IommufdContext, id: number, refusedBy: Clause): Viommu {
    const object = context.get(id);
    must(object?.kind === "viommu", refusedBy);
    return object.hold();
  },
};
