/** Queues in a VM's memory that hardware works on by itself: IOMMU_HW_QUEUE_ALLOC. Beside drivers/iommu/iommufd/viommu.c. */
import { clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import { field, fieldOf, layout } from "../uapi/layout.ts";
import { U64_MAX } from "../uapi/u64.ts";
import { iommufdSource } from "./availability.ts";
import type { IommufdFile } from "./file.ts";
import { PAGE_SIZE } from "./io-pagetable.ts";
import { Access, type AccessPin, Counted } from "./objects.ts";
import { steps as onePiece } from "./one-piece.ts";
import { MOCK_VIOMMU, VIOMMU, type Viommu } from "./viommu.ts";

const source = (name: string) => iommufdSource("viommu", name);
const HEADER = "include/uapi/linux/iommufd.h:iommu_hw_queue_alloc";
const QUEUE = { ...VIOMMU, since: "6.17" } as const;
const MOCK_QUEUE = { ...MOCK_VIOMMU, since: "6.17" } as const;

export const rule = clauses({
  "IOMMUFD-HWQUEUE-1": {
    ...QUEUE,
    rule: "flags must be zero, and a type must be given",
    errno: "EOPNOTSUPP",
    source: HEADER,
  },
  "IOMMUFD-HWQUEUE-2": {
    ...QUEUE,
    rule: "a queue has a length",
    errno: "EINVAL",
    source: source("iommufd_hw_queue_alloc_ioctl"),
  },
  "IOMMUFD-HWQUEUE-3": {
    ...QUEUE,
    rule: "a queue must not run over the end of the address space",
    errno: "EOVERFLOW",
    source: source("iommufd_hw_queue_alloc_ioctl"),
  },
  "IOMMUFD-HWQUEUE-4": {
    ...QUEUE,
    rule: "viommu_id must be the id of a virtual IOMMU",
    errno: "ENOENT",
    source: source("iommufd_hw_queue_alloc_ioctl"),
  },
  "IOMMUFD-HWQUEUE-5": {
    ...MOCK_QUEUE,
    rule: "the type must be one that the virtual IOMMU has",
    errno: "EOPNOTSUPP",
    source: source("iommufd_hw_queue_alloc_ioctl"),
  },
  "IOMMUFD-HWQUEUE-6": {
    ...MOCK_QUEUE,
    rule: "whole pages around the queue must have a length that fits 64 bits",
    errno: "ERANGE",
    source: source("iommufd_hw_queue_alloc_phys"),
  },
  "IOMMUFD-HWQUEUE-9": {
    ...MOCK_QUEUE,
    rule: "a queue's memory must be in one piece, which user space can't tell of pages that are not one huge page",
    errno: "EFAULT",
    source: source("iommufd_hw_queue_alloc_phys"),
  },
  "IOMMUFD-HWQUEUE-7": {
    ...MOCK_QUEUE,
    rule: "the struct must be writable; where it is not, nothing is made",
    errno: "EFAULT",
    source: source("iommufd_hw_queue_alloc_ioctl"),
  },
  "IOMMUFD-HWQUEUE-8": {
    ...MOCK_QUEUE,
    rule: "out_hw_queue_id brings the id of a new queue, which uses its virtual IOMMU and its IOAS, and pins its memory",
    source: HEADER,
    observable: "output",
  },
});

/** struct iommufd_hw_queue. It uses its virtual IOMMU; the next queue may use it. */
export class HwQueue extends Counted {
  readonly kind = "hw-queue";
  readonly viommu: Viommu;
  readonly index: number;
  /** By what it has its memory, which no command can take from it. */
  readonly access: Access;
  readonly pins: readonly AccessPin[];

  constructor(viommu: Viommu, index: number, access: Access, pins: readonly AccessPin[]) {
    super(viommu.context);
    this.viommu = viommu;
    this.index = index;
    this.access = access;
    this.pins = pins;
    viommu.users++;
    for (const { area } of pins) area.locks++;
  }

  override trace(): number {
    return this.viommu.id * 31 + this.index;
  }
}

/** IOMMU_HW_QUEUE_TYPE_SELFTEST */
const SELFTEST_QUEUE = 0xdead_beef;

const HwQueueAlloc = layout("iommu_hw_queue_alloc", {
  size: field.argsz(),
  flags: field.flags(),
  viommu_id: field.id("viommu"),
  type: field.value32(SELFTEST_QUEUE, SELFTEST_QUEUE, SELFTEST_QUEUE, 1, 0),
  index: field.value32(0, 1, 0, 1, 2),
  out_hw_queue_id: field.out32("hw-queue"),
  nesting_parent_iova: field.iova(),
  length: field.value64(PAGE_SIZE, 2n * PAGE_SIZE, PAGE_SIZE, 3n * PAGE_SIZE, 16, 0, U64_MAX),
});

const OUT_ID = fieldOf(HwQueueAlloc, "out_hw_queue_id").offset;
const CHOSEN_ID: ChoiceSite = { at: "field", offset: OUT_ID, width: 4 };

export const hwQueueAlloc = ioctl<IommufdFile>({
  name: "IOMMU_HW_QUEUE_ALLOC",
  request: vfioRequest(0x94),
  argument: { kind: "struct", layout: HwQueueAlloc },
  on: ["iommufd"],
  since: "6.17",
  weight: 0.4,
  useful: (_k, { context }) => context.some("viommu"),
  *run(k, { context }, { block }): Operation<number> {
    const type = block.u32(12);
    must(block.u32(4) === 0 && type !== 0, rule["IOMMUFD-HWQUEUE-1"]);
    const [iova, length] = [block.u64(24), block.u64(32)];
    must(length !== 0n, rule["IOMMUFD-HWQUEUE-2"]);
    must(iova + length - 1n <= U64_MAX, rule["IOMMUFD-HWQUEUE-3"]);
    using viommu = k.iommufdDevice.viommu(context, block.u32(8), rule["IOMMUFD-HWQUEUE-4"]);
    const driver = viommu.own?.hwQueues ?? null;
    must(driver !== null && driver.type === type, rule["IOMMUFD-HWQUEUE-5"]);
    k.alloc();
    // Its access gets an id of its own, behind that of the queue.
    const id = k.iommufd.chooseId(k, context, CHOSEN_ID);
    context.reservedIds.add(id);
    try {
      const queue = yield* k.iommufdDevice.pinQueue(k, viommu, block.u32(16), iova, length);
      try {
        driver.init(k, queue);
        if (!block.canWrite(HwQueueAlloc.size)) driver.destroy(k, queue);
        must(block.canWrite(HwQueueAlloc.size), rule["IOMMUFD-HWQUEUE-7"]);
      } catch (refusal) {
        yield* k.iommufdDevice.unpinQueue(k, queue);
        throw refusal;
      }
      context.publish(queue, id);
    } finally {
      context.reservedIds.delete(id);
    }
    block.put(OUT_ID, 4, id, rule["IOMMUFD-HWQUEUE-7"]);
    k.keeps(rule["IOMMUFD-HWQUEUE-8"]);
    return 0;
  },
});

/** More than memory that programs have. */
const MOST_PAGES = 0x1_0000n;

export const steps = {
  ...onePiece,

  /** iommufd_hw_queue_alloc_phys: a queue whose memory stays where it is. Hardware needs it in one piece. */
  *pinQueue(k: Kernel, viommu: Viommu, index: number, iova: bigint, length: bigint): Operation<HwQueue> {
    const offset = iova & (PAGE_SIZE - 1n);
    must(offset + length + PAGE_SIZE - 1n <= U64_MAX, rule["IOMMUFD-HWQUEUE-6"]);
    const pages = (offset + length + PAGE_SIZE - 1n) / PAGE_SIZE;
    if (pages > MOST_PAGES) throw new Unmodelled("whether there is memory for a list of so many pages");
    k.alloc();
    const { context, hwpt } = viommu;
    const access = new Access(context);
    context.publish(access, k.iommufd.chooseId(k, context, null));
    try {
      yield* k.iommufdDevice.changeIoas(k, access, hwpt.ioas);
      const pins = yield* k.iommufdDevice.pinAccess(k, access, iova - offset, pages * PAGE_SIZE, false);
      try {
        k.iommufdDevice.inOnePiece(k, context, pins, rule["IOMMUFD-HWQUEUE-9"]);
      } catch (refusal) {
        yield* k.iommufdDevice.unpinAccess(k, access, pins);
        throw refusal;
      }
      return new HwQueue(viommu, index, access, pins);
    } catch (refusal) {
      yield* k.iommufdDevice.dropQueueAccess(k, access);
      throw refusal;
    }
  },

  /** iommufd_hw_queue_destroy, but for what is the driver's. */
  *unpinQueue(k: Kernel, { viommu, access, pins }: HwQueue): Operation<void> {
    for (const { area } of pins) area.locks--;
    yield* k.iommufdDevice.unpinAccess(k, access, pins);
    yield* k.iommufdDevice.dropQueueAccess(k, access);
    viommu.users--;
  },

  /** iommufd_access_detach_internal and iommufd_access_destroy_internal */
  *dropQueueAccess(k: Kernel, access: Access): Operation<void> {
    yield* k.iommufdDevice.changeIoas(k, access, null);
    access.context.remove(access);
  },

  /** iommufd_hw_queue_destroy */
  *destroyHwQueue(k: Kernel, queue: HwQueue): Operation<void> {
    queue.viommu.own?.hwQueues?.destroy(k, queue);
    yield* k.iommufdDevice.unpinQueue(k, queue);
  },
};
