/**
 * Descriptors of a program of the host, by write(2) to a queue's char device. They reach the memory of the process that has it open
 * at its own addresses (SVA), so that pages which it has not touched yet are asked for, and the kernel answers. Beside
 * drivers/dma/idxd/cdev.c and drivers/iommu/iommu-sva.c.
 */
import { clauses, must } from "../../kernel/clause.ts";
import type { Transfer } from "../../kernel/file.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { PAGE } from "../../kernel/memory-map.ts";
import { Unmodelled } from "../../kernel/operation.ts";
import {
  COMPLETION,
  type Completion,
  DESCRIPTOR,
  type Descriptor,
  decode,
  ended,
  FLAG,
  pattern,
  RECORD,
  recordOf,
} from "./descriptor.ts";
import type { WorkQueue } from "./host.ts";
import { OPCAP, OPERATION } from "./mmio.ts";
import { IDXD, LINE_MAIL, spec } from "./sources.ts";

const WRITE = { ...IDXD, since: "6.10", source: "drivers/dma/idxd/cdev.c:idxd_submit_user_descriptor" } as const;
const later = { ...IDXD, since: "6.10", observable: "later-call" } as const;

export const rule = clauses({
  "IDXD-CDEV-WRITE-1": { ...WRITE, rule: "a descriptor must be readable", errno: "EFAULT" },
  "IDXD-CDEV-WRITE-2": { ...WRITE, rule: "batches of descriptors are not submitted so", errno: "EINVAL" },
  "IDXD-CDEV-WRITE-3": { ...WRITE, rule: "a completion record begins at a multiple of 32", errno: "EINVAL" },
  "IDXD-CDEV-WRITE-4": {
    ...WRITE,
    rule: "whole descriptors are taken up to the first that is refused, and the result is their bytes",
    source: "drivers/dma/idxd/cdev.c:idxd_cdev_write",
    observable: "output",
  },
  "IDXD-SVA-1": {
    ...later,
    rule: "descriptors of a process reach what its memory holds, at its own addresses",
    source: LINE_MAIL,
  },
  "IDXD-SVA-2": {
    ...later,
    rule: "a descriptor that does not block ends at a page that its process has not touched: 0x03",
    source: spec("Page Faults"),
  },
  "IDXD-SVA-3": {
    ...later,
    rule: "a descriptor that blocks asks for such a page, the kernel answers that it is there, and the descriptor goes on",
    source: "drivers/iommu/iommu-sva.c:iommu_sva_handle_mm",
  },
  "IDXD-SVA-4": {
    ...later,
    rule: "where a process has no memory, or none that may be written, the answer is that there is none: 0x04",
    source: "drivers/iommu/iommu-sva.c:iommu_sva_handle_mm",
  },
});

const BATCH = 1;

export const hostDescriptorSteps = {
  /** idxd_cdev_write */
  submitAll(k: Kernel, queue: WorkQueue, { block, count }: Transfer): number {
    let taken = 0;
    for (; taken + DESCRIPTOR <= count; taken += DESCRIPTOR) {
      const isThere = taken + DESCRIPTOR <= block.readable;
      const descriptor = decode(new DataView(block.bytes.slice(taken, taken + DESCRIPTOR).buffer));
      const refusedBy = !isThere
        ? rule["IDXD-CDEV-WRITE-1"]
        : descriptor.operation === BATCH
          ? rule["IDXD-CDEV-WRITE-2"]
          : descriptor.record % BigInt(RECORD) !== 0n
            ? rule["IDXD-CDEV-WRITE-3"]
            : null;
      if (refusedBy) {
        must(taken > 0, refusedBy);
        break;
      }
      if (queue.running) k.idxd.executeForProcess(k, queue, descriptor);
    }
    k.keeps(rule["IDXD-CDEV-WRITE-4"]);
    return taken;
  },

  /** What the accelerator makes of a descriptor in the memory of a process. */
  executeForProcess(k: Kernel, queue: WorkQueue, descriptor: Descriptor): void {
    const { flags, record } = descriptor;
    if (flags & FLAG.INTERRUPT) throw new Unmodelled("interrupts that tell a program of the host");
    const blocks = (flags & FLAG.BLOCK_ON_FAULT) !== 0 && queue.blockOnFault;
    const hasRecord = (flags & FLAG.RECORD_VALID) !== 0;
    // Without its record nothing is done, and nobody but the host's driver is told.
    if (hasRecord && !k.idxd.pageIsThere(k, record, true, blocks)) return;
    const completion = refused(queue, descriptor) ?? k.idxd.operateForProcess(k, descriptor, blocks);
    const failed = completion.status !== COMPLETION.SUCCESS;
    if (hasRecord && (failed || flags & FLAG.RECORD)) writeMemory(k, record, recordOf(completion));
  },

  /** Whether a page of the process's is there, or comes when it is asked for. */
  pageIsThere(k: Kernel, address: bigint, write: boolean, blocks: boolean): boolean {
    const { mm } = k;
    if (mm.isPresent(address, write)) return true;
    if (!blocks) return false;
    const { pages, writable } = mm.reach(address, 1);
    if (pages === 0 || (write && !writable)) return false;
    k.undo.push(mm.fault(address, write));
    k.keeps(rule["IDXD-SVA-3"]);
    return true;
  },

  /** The operation itself, page by page. */
  operateForProcess(k: Kernel, { operation, source, destination, size }: Descriptor, blocks: boolean): Completion {
    if (operation === OPERATION.NOOP) return ended(COMPLETION.SUCCESS);
    const moves = operation === OPERATION.MEMMOVE;
    const { content } = k.mm;
    const fill = moves ? null : pattern(source, size);
    const inPage = (address: bigint): number => PAGE - Number(address % BigInt(PAGE));
    let bytes = 0;
    while (bytes < size) {
      const [from, to] = [source + BigInt(bytes), destination + BigInt(bytes)];
      const readable = !moves || k.idxd.pageIsThere(k, from, false, blocks);
      if (!readable || !k.idxd.pageIsThere(k, to, true, blocks)) {
        k.keeps(rule[blocks ? "IDXD-SVA-4" : "IDXD-SVA-2"]);
        const status = blocks ? COMPLETION.PAGE_FAULT_ANSWERED : COMPLETION.PAGE_FAULT;
        return {
          status: status | (readable ? COMPLETION.WRITE : 0),
          bytes,
          address: readable ? to : from,
          write: readable,
        };
      }
      const part = Math.min(size - bytes, inPage(to), moves ? inPage(from) : size);
      writeMemory(k, to, fill ? fill.subarray(bytes, bytes + part) : content.read(from, part));
      bytes += part;
    }
    k.keeps(rule["IDXD-SVA-1"]);
    return { ...ended(COMPLETION.SUCCESS), bytes };
  },
};

/** Writes to the memory of the process, until the call turns out to be one that has no answer. */
function writeMemory(k: Kernel, address: bigint, bytes: Uint8Array): void {
  const { content } = k.mm;
  const { writes } = content;
  const before = content.read(address, bytes.length);
  k.undo.push(() => {
    content.write(address, before);
    content.writes = writes;
  });
  content.write(address, bytes);
}

/** What is wrong with a descriptor by itself. */
function refused(queue: WorkQueue, { operation, flags, size }: Descriptor): Completion | undefined {
  if (operation > 31 || !(OPCAP & (1 << operation))) return ended(COMPLETION.BAD_OPERATION);
  if (flags & FLAG.BLOCK_ON_FAULT && !queue.blockOnFault) return ended(COMPLETION.INVALID_FLAGS);
  const most = 2 ** queue.spec.maxTransferShift;
  if (operation !== OPERATION.NOOP && (size === 0 || size > most)) return ended(COMPLETION.TRANSFER_SIZE);
  return undefined;
}
