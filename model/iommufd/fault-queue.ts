/** Fault queues: page faults of devices, for user space to answer. Beside drivers/iommu/iommufd/eventq.c, before 6.15 fault.c. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import { File, type Transfer } from "../kernel/file.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { Operation } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import { field, fieldOf, layout } from "../uapi/layout.ts";
import { POLL } from "../uapi/poll.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { steps as faultFile } from "./fault-file.ts";
import type { IommufdFile } from "./file.ts";
import type { IommufdGroup } from "./igroup.ts";
import { type AnyHwpt, Counted, type IommufdContext, type IommufdDevice } from "./objects.ts";

const source = (name: string) => iommufdSource("eventq", name);
const QUEUE = { ...IOMMUFD, since: "6.11" } as const;
/** Faults come from mocks only: no device of the machines with an IOMMU can wait for an answer. */
const FAULTS = { ...QUEUE, kconfig: ["IOMMUFD", "IOMMUFD_TEST"], machine: "mock" } as const;

export const rule = clauses({
  "IOMMUFD-FAULTQ-1": {
    ...QUEUE,
    rule: "flags must be zero",
    errno: "EOPNOTSUPP",
    source: source("iommufd_fault_alloc"),
  },
  "IOMMUFD-FAULTQ-2": {
    ...QUEUE,
    rule: "the struct must be writable; where it is not, there is no queue and no descriptor",
    errno: "EFAULT",
    source: source("iommufd_fault_alloc"),
  },
  "IOMMUFD-FAULTQ-3": {
    ...QUEUE,
    rule: "out_fault_id and out_fault_fd bring a queue and its file, which uses the queue and keeps the iommufd",
    source: "include/uapi/linux/iommufd.h:iommu_fault_alloc",
    observable: "output",
  },
  "IOMMUFD-FAULTQ-14": {
    ...QUEUE,
    rule: "a queue can be written at any time, and read while it has faults that nobody has read",
    source: source("iommufd_eventq_fops_poll"),
    observable: "output",
  },
  "IOMMUFD-FAULTQ-15": {
    ...FAULTS,
    rule: "faults of a device that leaves the page table are answered by the kernel: they can't be read any more",
    source: source("iommufd_auto_response_faults"),
    observable: "later-call",
  },
});

const mutexClass = new LockClass("fault->mutex");

/** A page fault of a device, alone in its group: struct iopf_group. */
export interface PageFault {
  readonly flags: number;
  readonly pasid: number;
  /** The PASID whose page table took it: its own, or NO_PASID. */
  readonly via: number;
  readonly group: number;
  readonly perm: number;
  readonly address: bigint;
  readonly device: IommufdDevice;
}

/** Whether it came by what a group is attached to under a PASID. */
const isOf = ({ device, via }: PageFault, igroup: IommufdGroup, pasid: number): boolean =>
  device.igroup === igroup && via === pasid;

/** struct iommufd_fault. The table of ids uses it, and its file, and every page table whose faults it takes. */
export class FaultQueue extends Counted {
  readonly kind = "fault";
  /** Faults that nobody has read, in the order that they came. */
  readonly deliver: PageFault[] = [];
  /** Faults that wait for a response, by cookie. */
  readonly response = new Map<number, PageFault>();
  readonly mutex = new Lock(mutexClass);

  constructor(context: IommufdContext) {
    super(context);
    this.users++;
  }

  /** Nobody needs to answer the faults of a group, or of one of its PASIDs, that has left. */
  answerAll(igroup: IommufdGroup, pasid: number): void {
    for (let i = this.deliver.length - 1; i >= 0; i--) {
      const fault = this.deliver[i];
      if (fault && isOf(fault, igroup, pasid)) this.deliver.splice(i, 1);
    }
    for (const [cookie, fault] of this.response) if (isOf(fault, igroup, pasid)) this.response.delete(cookie);
  }

  /** Whether faults of a group, or of one of its PASIDs, wait to be read or answered. */
  hasFaultsOf(igroup: IommufdGroup, pasid: number): boolean {
    const its = (fault: PageFault): boolean => isOf(fault, igroup, pasid);
    return this.deliver.some(its) || [...this.response.values()].some(its);
  }

  /** The lowest cookie that no fault waits under. */
  freeCookie(): number {
    let cookie = 1;
    while (this.response.has(cookie)) cookie++;
    return cookie;
  }

  override trace(): number {
    let trace = this.deliver.length;
    for (const cookie of this.response.keys()) trace = trace * 31 + cookie;
    return trace >>> 0;
  }
}

/** The file of a queue. Its position is never moved, and it blocks nobody. */
export class FaultQueueFile extends File {
  readonly kind = "fault-queue";
  override readonly positioned = false;
  readonly queue: FaultQueue;

  constructor(queue: FaultQueue) {
    super(2);
    this.queue = queue;
    queue.context.refs++;
  }

  override ioctl(): Operation<number> {
    return refuse(vfsRule["VFS-IOCTL-1"]);
  }

  override read(k: Kernel, io: Transfer): Operation<number> {
    return k.iommufdDevice.readFaults(k, this.queue, io);
  }

  override write(k: Kernel, io: Transfer): Operation<number> {
    return k.iommufdDevice.answerFaults(k, this.queue, io);
  }

  override poll(k: Kernel): number {
    k.keeps(rule["IOMMUFD-FAULTQ-14"]);
    return POLL.POLLOUT | (this.queue.deliver.length > 0 ? POLL.POLLIN | POLL.POLLRDNORM : 0);
  }

  override *release(k: Kernel): Operation<void> {
    this.queue.users--;
    k.iommufd.put(k, this.queue.context);
  }
}

const FaultAlloc = layout("iommu_fault_alloc", {
  size: field.argsz(),
  flags: field.flags(),
  out_fault_id: field.out32("fault"),
  out_fault_fd: field.out32("fault-queue"),
});

const siteOf = (name: string): ChoiceSite => ({ at: "field", offset: fieldOf(FaultAlloc, name).offset, width: 4 });
const CHOSEN_ID = siteOf("out_fault_id");
const CHOSEN_FD = siteOf("out_fault_fd");

export const faultQueueAlloc = ioctl<IommufdFile>({
  name: "IOMMU_FAULT_QUEUE_ALLOC",
  request: vfioRequest(0x8e),
  argument: { kind: "struct", layout: FaultAlloc },
  on: ["iommufd"],
  since: "6.11",
  weight: 0.1,
  useful: (_k, { context }) => context.some("device"),
  *run(k, { context }, { block }): Operation<number> {
    must(block.u32(4) === 0, rule["IOMMUFD-FAULTQ-1"]);
    must(block.canWrite(FaultAlloc.size), rule["IOMMUFD-FAULTQ-2"]);
    k.alloc();
    const queue = new FaultQueue(context);
    context.publish(queue, k.iommufd.chooseId(k, context, CHOSEN_ID));
    const fd = k.installFd(CHOSEN_FD, new FaultQueueFile(queue));
    block.put(8, 4, queue.id, rule["IOMMUFD-FAULTQ-2"]);
    block.put(12, 4, fd, rule["IOMMUFD-FAULTQ-2"]);
    k.keeps(rule["IOMMUFD-FAULTQ-3"]);
    return 0;
  },
});

export const steps = {
  ...faultFile,

  /** iommufd_auto_response_faults: a group, or one of its PASIDs, has left the page table. */
  answerLeft(k: Kernel, { fault }: AnyHwpt, igroup: IommufdGroup, pasid: number): void {
    if (!fault) return;
    fault.answerAll(igroup, pasid);
    k.keeps(rule["IOMMUFD-FAULTQ-15"]);
  },

  /** iommufd_fault_iopf_handler */
  deliverFault(queue: FaultQueue, fault: PageFault): void {
    queue.deliver.push(fault);
  },
};
