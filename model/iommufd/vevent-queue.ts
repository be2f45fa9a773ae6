/** Queues of what a virtual IOMMU has to tell its VM: IOMMU_VEVENTQ_ALLOC, and their files. Beside drivers/iommu/iommufd/eventq.c. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import { File, type Transfer } from "../kernel/file.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import { field, fieldOf, layout, offsetOfEnd } from "../uapi/layout.ts";
import { POLL } from "../uapi/poll.ts";
import { iommufdSource } from "./availability.ts";
import { commandView, respondSize } from "./command.ts";
import type { IommufdFile } from "./file.ts";
import { Counted } from "./objects.ts";
import { VIOMMU, type Viommu } from "./viommu.ts";

const source = (name: string) => iommufdSource("eventq", name);
const HEADER = "include/uapi/linux/iommufd.h:iommu_veventq_alloc";
const QUEUE = { ...VIOMMU, since: "6.15" } as const;
/** No other virtual IOMMU is to be had on the suite's machines than a mock's. */
const EVENTS = { since: "6.15", kconfig: ["IOMMUFD", "IOMMUFD_TEST"], machine: "mock" } as const;

export const rule = clauses({
  "IOMMUFD-VEVENTQ-1": {
    ...QUEUE,
    rule: "flags and the reserved field must be zero, and a type must be given",
    errno: "EOPNOTSUPP",
    source: HEADER,
  },
  "IOMMUFD-VEVENTQ-2": {
    ...QUEUE,
    rule: "a queue has room for an event, and for 2^19 at the most",
    errno: "EINVAL",
    source: source("iommufd_veventq_alloc"),
  },
  "IOMMUFD-VEVENTQ-3": {
    ...QUEUE,
    rule: "viommu_id must be the id of a virtual IOMMU",
    errno: "ENOENT",
    source: source("iommufd_veventq_alloc"),
  },
  "IOMMUFD-VEVENTQ-4": {
    ...EVENTS,
    rule: "a virtual IOMMU has one queue of a type",
    errno: "EEXIST",
    source: HEADER,
  },
  "IOMMUFD-VEVENTQ-5": {
    ...EVENTS,
    rule: "the struct must be writable; where it is not, there is no queue and no descriptor",
    errno: "EFAULT",
    source: source("iommufd_veventq_alloc"),
  },
  "IOMMUFD-VEVENTQ-6": {
    ...EVENTS,
    rule: "out_veventq_id and out_veventq_fd bring a queue, which uses its virtual IOMMU, and its file, which uses the queue",
    source: HEADER,
    observable: "output",
  },
  "IOMMUFD-VEVENTQ-7": {
    ...EVENTS,
    rule: "a read must have room for a header, and where an event is the first, for all of it",
    errno: "EINVAL",
    source: source("iommufd_veventq_fops_read"),
  },
  "IOMMUFD-VEVENTQ-8": {
    ...EVENTS,
    rule: "the buffer must be writable; where it is not from the start, nothing was read",
    errno: "EFAULT",
    source: source("iommufd_veventq_fops_read"),
  },
  "IOMMUFD-VEVENTQ-9": {
    ...EVENTS,
    rule: "a read brings events in the order that they came, as many as fit, each behind a header with its number",
    source: "include/uapi/linux/iommufd.h:iommufd_vevent_header",
    observable: "output",
  },
  "IOMMUFD-VEVENTQ-10": {
    ...EVENTS,
    rule: "nothing comes of a read while there are no events, which is no end either",
    source: source("iommufd_veventq_fops_read"),
  },
  "IOMMUFD-VEVENTQ-11": {
    ...EVENTS,
    rule: "events without room in the queue are lost: a header without data at its tail says so, until an event follows",
    source: "include/uapi/linux/iommufd.h:iommufd_vevent_header",
    observable: "later-call",
  },
  "IOMMUFD-VEVENTQ-12": {
    ...EVENTS,
    rule: "a queue can be read while it has events, and never written",
    source: source("iommufd_eventq_fops_poll"),
    observable: "output",
  },
});

/** VEVENTQ_MAX_DEPTH */
const MAX_DEPTH = 2 ** 19;
const HEADER_SIZE = 8;
const LOST_EVENTS = 1;
const MAX_SEQUENCE = 2 ** 31 - 1;

/** struct iommufd_vevent; without data it is the header that tells of lost ones. */
interface Vevent {
  readonly sequence: number;
  readonly data: Uint8Array | null;
}

/** struct iommufd_veventq. The table of ids uses it, and its file. */
export class VeventQueue extends Counted {
  readonly kind = "veventq";
  readonly viommu: Viommu;
  readonly type: number;
  readonly depth: number;
  /** Events that nobody has read, in the order that they came. */
  readonly deliver: Vevent[] = [];
  #sequence = 0;

  constructor(viommu: Viommu, type: number, depth: number) {
    super(viommu.context);
    this.viommu = viommu;
    this.type = type;
    this.depth = depth;
    viommu.users++;
    viommu.queues.push(this);
  }

  /** Events that wait to be read, without the header that tells of lost ones. */
  get count(): number {
    return this.deliver.reduce((sum, event) => sum + (event.data ? 1 : 0), 0);
  }

  /** iommufd_vevent_handler: an event, or without data what tells that one was lost, which is at the tail or nowhere. */
  add(data: Uint8Array | null): void {
    if (this.deliver.at(-1)?.data === null) this.deliver.pop();
    this.deliver.push({ sequence: this.#sequence, data });
    this.#sequence = this.#sequence === MAX_SEQUENCE ? 0 : this.#sequence + 1;
  }

  override trace(): number {
    return this.viommu.id * 31 + this.deliver.length * 7 + this.#sequence;
  }
}

/** The file of a queue. Its position is never moved, and it blocks nobody. */
export class VeventQueueFile extends File {
  readonly kind = "vevent-queue";
  override readonly positioned = false;
  readonly queue: VeventQueue;

  constructor(queue: VeventQueue) {
    super(2);
    this.queue = queue;
    queue.users++;
    queue.context.refs++;
  }

  override ioctl(): Operation<number> {
    return refuse(vfsRule["VFS-IOCTL-1"]);
  }

  override read(k: Kernel, io: Transfer): Operation<number> {
    return k.iommufdDevice.readVevents(k, this.queue, io);
  }

  override poll(k: Kernel): number {
    k.keeps(rule["IOMMUFD-VEVENTQ-12"]);
    return this.queue.deliver.length > 0 ? POLL.POLLIN | POLL.POLLRDNORM : 0;
  }

  override *release(k: Kernel): Operation<void> {
    this.queue.users--;
    k.iommufd.put(k, this.queue.context);
  }
}

/** IOMMU_VEVENTQ_TYPE_SELFTEST */
export const SELFTEST_VEVENTQ = 0xbeef_beef;

const VeventqAlloc = layout("iommu_veventq_alloc", {
  size: field.argsz(),
  flags: field.flags(),
  viommu_id: field.id("viommu"),
  type: field.value32(SELFTEST_VEVENTQ, SELFTEST_VEVENTQ, 1, 2, 0),
  veventq_depth: field.value32(2, 1, 3, 0, MAX_DEPTH, MAX_DEPTH + 1),
  out_veventq_id: field.out32("veventq"),
  out_veventq_fd: field.out32("vevent-queue"),
  __reserved: field.later(field.reserved32()),
});

/** Bytes of the struct that a caller must know. */
export const VEVENTQ_ALLOC_MIN_SIZE = offsetOfEnd(VeventqAlloc, "out_veventq_fd");
const OUT_ID = fieldOf(VeventqAlloc, "out_veventq_id").offset;
const OUT_FD = fieldOf(VeventqAlloc, "out_veventq_fd").offset;
const CHOSEN_ID: ChoiceSite = { at: "field", offset: OUT_ID, width: 4 };
const CHOSEN_FD: ChoiceSite = { at: "field", offset: OUT_FD, width: 4 };

export const veventqAlloc = ioctl<IommufdFile>({
  name: "IOMMU_VEVENTQ_ALLOC",
  request: vfioRequest(0x93),
  argument: { kind: "struct", layout: VeventqAlloc },
  on: ["iommufd"],
  since: "6.15",
  weight: 0.5,
  useful: (_k, { context }) => context.some("viommu"),
  *run(k, { context }, { block }): Operation<number> {
    const command = commandView(block, VeventqAlloc.size);
    const type = command.getUint32(12, true);
    must(command.getUint32(4, true) === 0 && command.getUint32(28, true) === 0, rule["IOMMUFD-VEVENTQ-1"]);
    must(type !== 0, rule["IOMMUFD-VEVENTQ-1"]);
    const depth = command.getUint32(16, true);
    must(k.iommufdDevice.isQueueDepth(depth), rule["IOMMUFD-VEVENTQ-2"]);
    using viommu = k.iommufdDevice.viommu(context, command.getUint32(8, true), rule["IOMMUFD-VEVENTQ-3"]);
    using _ = yield* k.lock(viommu.veventqsRwsem);
    must(!viommu.queues.some((queue) => queue.type === type), rule["IOMMUFD-VEVENTQ-4"]);
    k.alloc();
    must(block.canWrite(respondSize(block, VeventqAlloc.size)), rule["IOMMUFD-VEVENTQ-5"]);
    const queue = new VeventQueue(viommu, type, depth);
    context.publish(queue, k.iommufd.chooseId(k, context, CHOSEN_ID));
    const fd = k.installFd(CHOSEN_FD, new VeventQueueFile(queue));
    block.put(OUT_ID, 4, queue.id, rule["IOMMUFD-VEVENTQ-5"]);
    block.put(OUT_FD, 4, fd, rule["IOMMUFD-VEVENTQ-5"]);
    k.keeps(rule["IOMMUFD-VEVENTQ-6"]);
    return 0;
  },
});

export const steps = {
  /** Whether a queue can be made for so many events. */
  isQueueDepth(depth: number): boolean {
    return depth > 0 && depth <= MAX_DEPTH;
  },

  /** iommufd_veventq_destroy */
  *destroyVeventq(k: Kernel, queue: VeventQueue): Operation<void> {
    const { viommu } = queue;
    using _ = yield* k.lock(viommu.veventqsRwsem);
    viommu.queues.splice(viommu.queues.indexOf(queue), 1);
    viommu.users--;
  },

  /** The end of iommufd_viommu_report_event, for a queue that there is. */
  deliverVevent(k: Kernel, queue: VeventQueue, data: Uint8Array): void {
    const fits = k.iommufdDevice.hasRoom(queue);
    queue.add(fits ? data : null);
    if (!fits) k.keeps(rule["IOMMUFD-VEVENTQ-11"]);
  },

  /** Whether an event finds room in a queue. */
  hasRoom({ count, depth }: VeventQueue): boolean {
    return count < depth;
  },

  /** iommufd_veventq_fops_read */
  *readVevents(k: Kernel, queue: VeventQueue, { block, count }: Transfer): Operation<number> {
    must(count >= HEADER_SIZE, rule["IOMMUFD-VEVENTQ-7"]);
    let done = 0;
    for (let event = queue.deliver[0]; event; event = queue.deliver[0]) {
      const { sequence, data } = event;
      const size = HEADER_SIZE + (data?.length ?? 0);
      if (done + size > count) {
        must(done > 0, rule["IOMMUFD-VEVENTQ-7"]);
        break;
      }
      const end = done + size;
      if (!block.canWrite(end)) {
        // The header may be there before its data faults; what a copy that faults has written is not defined.
        const written = data && block.canWrite(done + HEADER_SIZE);
        if (written) putHeader(block.view, done, sequence, data);
        block.definedUpTo = Math.min(block.definedUpTo, written ? done + HEADER_SIZE : done);
        must(done > 0, rule["IOMMUFD-VEVENTQ-8"]);
        break;
      }
      putHeader(block.view, done, sequence, data);
      if (data) block.bytes.set(data, done + HEADER_SIZE);
      queue.deliver.shift();
      done = end;
    }
    k.keeps(rule[done > 0 ? "IOMMUFD-VEVENTQ-9" : "IOMMUFD-VEVENTQ-10"]);
    return done;
  },
};

/** struct iommufd_vevent_header */
function putHeader(view: DataView, at: number, sequence: number, data: Uint8Array | null): void {
  view.setUint32(at, data ? 0 : LOST_EVENTS, true);
  view.setUint32(at + 4, sequence, true);
}
