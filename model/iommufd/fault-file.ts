/** Reading page faults, and answering them. Beside drivers/iommu/iommufd/eventq.c, before 6.15 fault.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { Transfer } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { writeValue } from "../uapi/layout.ts";
import { versionNumber } from "../uapi/version.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { FaultQueue, PageFault } from "./fault-queue.ts";

const source = (name: string) => iommufdSource("eventq", name);
const QUEUE = { ...IOMMUFD, since: "6.11" } as const;
/** Faults come from mocks only: no device of the machines with an IOMMU can wait for an answer. */
const FAULTS = { ...QUEUE, kconfig: ["IOMMUFD", "IOMMUFD_TEST"], machine: "mock" } as const;

export const rule = clauses({
  "IOMMUFD-FAULTQ-4": {
    ...QUEUE,
    rule: "reads are of whole messages",
    errno: "ESPIPE",
    source: source("iommufd_fault_fops_read"),
  },
  "IOMMUFD-FAULTQ-5": {
    ...FAULTS,
    rule: "a read must have room for the first group of faults, which otherwise stays the first",
    errno: "EINVAL",
    source: source("iommufd_fault_fops_read"),
    since: "7.2",
  },
  "IOMMUFD-FAULTQ-6": {
    ...FAULTS,
    rule: "the buffer must be writable; where it is not from the start, nothing was read",
    errno: "EFAULT",
    source: source("iommufd_fault_fops_read"),
  },
  "IOMMUFD-FAULTQ-7": {
    ...FAULTS,
    rule: "a read brings groups of faults in the order that they came, as many as fit, each with a cookie that no other waits under",
    source: "include/uapi/linux/iommufd.h:iommu_hwpt_pgfault",
    observable: "output",
  },
  "IOMMUFD-FAULTQ-8": {
    ...QUEUE,
    rule: "nothing comes of a read while there are no faults, which is no end either",
    source: source("iommufd_fault_fops_read"),
  },
  "IOMMUFD-FAULTQ-9": {
    ...QUEUE,
    rule: "writes are of whole responses",
    errno: "ESPIPE",
    source: source("iommufd_fault_fops_write"),
  },
  "IOMMUFD-FAULTQ-10": {
    ...QUEUE,
    rule: "responses must be readable",
    errno: "EFAULT",
    source: source("iommufd_fault_fops_write"),
  },
  "IOMMUFD-FAULTQ-11": {
    ...QUEUE,
    rule: "a response says that the fault was handled, or that it can't be",
    errno: "EINVAL",
    source: "include/uapi/linux/iommufd.h:iommufd_page_response_code",
  },
  "IOMMUFD-FAULTQ-12": {
    ...QUEUE,
    rule: "a response is to a group that was read and waits for one",
    errno: "EINVAL",
    source: source("iommufd_fault_fops_write"),
  },
  "IOMMUFD-FAULTQ-13": {
    ...FAULTS,
    rule: "a response ends the waiting of its group; those before a bad one count",
    source: source("iommufd_fault_fops_write"),
  },
});

/** struct iommu_hwpt_pgfault and struct iommu_hwpt_page_response */
const MESSAGE_SIZE = 40;
const COOKIE = 36;
const RESPONSE_SIZE = 8;
const RESPONSE_INVALID = 1;
/** Since when a read that has no room is told so. */
const ROOM_TOLD_SINCE = versionNumber("7.2");

export const steps = {
  /** iommufd_fault_fops_read */
  *readFaults(k: Kernel, queue: FaultQueue, { block, count }: Transfer): Operation<number> {
    must(count % MESSAGE_SIZE === 0, rule["IOMMUFD-FAULTQ-4"]);
    using _ = yield* k.lock(queue.mutex);
    let done = 0;
    for (let fault = queue.deliver[0]; fault; fault = queue.deliver[0]) {
      if (done + MESSAGE_SIZE > count) {
        must(done > 0 || k.version < ROOM_TOLD_SINCE, rule["IOMMUFD-FAULTQ-5"]);
        break;
      }
      if (!block.canWrite(done + MESSAGE_SIZE)) {
        // What a copy that faults has written before is not defined.
        block.definedUpTo = Math.min(block.definedUpTo, done);
        must(done > 0, rule["IOMMUFD-FAULTQ-6"]);
        break;
      }
      const cookie = k.iommufdDevice.chooseCookie(k, queue, done);
      block.bytes.set(message(fault, cookie), done);
      queue.deliver.shift();
      queue.response.set(cookie, fault);
      done += MESSAGE_SIZE;
    }
    k.keeps(rule[done > 0 ? "IOMMUFD-FAULTQ-7" : "IOMMUFD-FAULTQ-8"]);
    return done;
  },

  /** The cookie of a fault that is read to that offset of the buffer: any that is free. */
  chooseCookie(k: Kernel, queue: FaultQueue, at: number): number {
    const free = (value: bigint): boolean => value > 0n && !queue.response.has(Number(value));
    return Number(k.choose({ at: "field", offset: at + COOKIE, width: 4 }, BigInt(queue.freeCookie()), free));
  },

  /** iommufd_fault_fops_write */
  *answerFaults(k: Kernel, queue: FaultQueue, { block, count }: Transfer): Operation<number> {
    must(count % RESPONSE_SIZE === 0, rule["IOMMUFD-FAULTQ-9"]);
    using _ = yield* k.lock(queue.mutex);
    for (let done = 0; done < count; done += RESPONSE_SIZE) {
      const readable = done + RESPONSE_SIZE <= block.readable;
      const good = readable && block.u32(done + 4) <= RESPONSE_INVALID;
      if (done > 0 && !(good && queue.response.has(block.u32(done)))) return done;
      must(readable, rule["IOMMUFD-FAULTQ-10"]);
      must(good, rule["IOMMUFD-FAULTQ-11"]);
      must(queue.response.delete(block.u32(done)), rule["IOMMUFD-FAULTQ-12"]);
      k.keeps(rule["IOMMUFD-FAULTQ-13"]);
    }
    return count;
  },
};

/** iommufd_compose_fault_message */
function message({ flags, device, pasid, group, perm, address }: PageFault, cookie: number): Uint8Array {
  const bytes = new Uint8Array(MESSAGE_SIZE);
  const view = new DataView(bytes.buffer);
  for (const [at, value] of [flags, device.id, pasid, group, perm].entries()) writeValue(view, at * 4, 4, value);
  writeValue(view, 24, 8, address);
  writeValue(view, COOKIE, 4, cookie);
  return bytes;
}
