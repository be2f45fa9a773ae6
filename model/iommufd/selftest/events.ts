/**
 * Ops that do what hardware does by itself: a mock writes to memory, its page faults, and what its caches hold is looked at.
 * Beside drivers/iommu/iommufd/selftest.c.
 */
import { clauses, must } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../../kernel/operation.ts";
import { field, layout } from "../../uapi/layout.ts";
import type { PageFault } from "../fault-queue.ts";
import { NO_PASID } from "../igroup.ts";
import type { Hwpt, IommufdDevice } from "../objects.ts";
import { SELFTEST, selftestSource, testOp } from "./command.ts";
import { GENERIC_TABLES_SINCE } from "./mock-device.ts";
import { MockCache } from "./mock-iommu.ts";

export const rule = clauses({
  "IOMMUFD-MOCKDIRTY-1": {
    ...SELFTEST,
    rule: "what is written must have a length and lie somewhere, in units of page_size",
    errno: "EINVAL",
    source: selftestSource("iommufd_test_dirty"),
    since: "6.7",
  },
  "IOMMUFD-MOCKDIRTY-2": {
    ...SELFTEST,
    rule: "no more pages are written at once than a bitmap of 16 MiB has bits",
    errno: "EOVERFLOW",
    source: selftestSource("iommufd_test_dirty"),
    since: "6.19",
  },
  "IOMMUFD-MOCKDIRTY-3": {
    ...SELFTEST,
    rule: "a mock only writes while tracking is on",
    errno: "EINVAL",
    source: selftestSource("iommufd_test_dirty"),
    since: "6.7",
  },
  "IOMMUFD-MOCKDIRTY-4": {
    ...SELFTEST,
    rule: "the bitmap of what is written must be readable",
    errno: "EFAULT",
    source: selftestSource("iommufd_test_dirty"),
    since: "6.7",
  },
  "IOMMUFD-MOCKDIRTY-5": {
    ...SELFTEST,
    rule: "the struct must be writable; the mock has written all the same",
    errno: "EFAULT",
    partial: true,
    source: selftestSource("iommufd_test_dirty"),
    since: "6.7",
  },
  "IOMMUFD-MOCKDIRTY-6": {
    ...SELFTEST,
    rule: "out_nr_dirty brings how many pages were written; before 6.19 those that are not mapped do not count",
    source: selftestSource("iommufd_test_dirty"),
    since: "6.7",
    observable: "output",
  },
  "IOMMUFD-CHECKCACHE-1": {
    ...SELFTEST,
    rule: "id must be the id of a page table that is nested in a mock's",
    errno: "ENOENT",
    source: selftestSource("iommufd_test_md_check_iotlb"),
    since: "6.8",
  },
  "IOMMUFD-CHECKCACHE-2": {
    ...SELFTEST,
    rule: "the cache must have the entry, and the entry hold the number",
    errno: "EINVAL",
    source: selftestSource("iommufd_test_md_check_iotlb"),
    since: "6.8",
  },
  "IOMMUFD-CHECKCACHE-3": {
    ...SELFTEST,
    rule: "a cache holds what its page table was made with, but for what was invalidated",
    source: selftestSource("iommufd_test_md_check_iotlb"),
    since: "6.8",
  },
  "IOMMUFD-MOCKFAULT-1": {
    ...SELFTEST,
    rule: "dev_id must be the id of a bound device",
    errno: "ENOENT",
    source: selftestSource("iommufd_test_trigger_iopf"),
    since: "6.11",
  },
  "IOMMUFD-MOCKFAULT-2": {
    since: "6.18",
    kconfig: SELFTEST.kconfig,
    rule: "only mocks can be made to fault",
    errno: "EINVAL",
    source: selftestSource("iommufd_test_trigger_iopf"),
  },
  "IOMMUFD-MOCKFAULT-3": {
    ...SELFTEST,
    rule: "a fault goes to the queue of the page table that the device is attached to, and nowhere if that has none",
    source: "drivers/iommu/io-pgfault.c:iommu_report_device_fault",
    since: "6.11",
    observable: "later-call",
  },
});

/** SZ_16M * BITS_PER_BYTE */
const MAX_PAGES = 1n << 27n;
const IO_PAGE = 2048;

const word = () => field.value64(1, 0xffff_ffff, 0, 0x8000_0001);
const Written = layout("written", { bits_0: word(), bits_1: word() });

testOp("DIRTY", {
  op: 13,
  since: "6.7",
  id: field.id("hwpt"),
  fields: {
    flags: field.reserved32(),
    iova: field.iova(),
    length: field.length(),
    page_size: field.value64(IO_PAGE, IO_PAGE, IO_PAGE, 2 * IO_PAGE, 0),
    uptr: field.pointer(Written),
    out_nr_dirty: field.out64(),
  },
  useful: (_k, { context }) => context.some("hwpt"),
  *run(k, { context }, { block, at }): Operation<number> {
    const [iova, length, pageSize, address] = [block.u64(24), block.u64(32), block.u64(40), block.u64(48)];
    const whole = pageSize !== 0n && length !== 0n && iova % pageSize === 0n && length % pageSize === 0n;
    must(whole && address !== 0n, rule["IOMMUFD-MOCKDIRTY-1"]);
    const pages = length / pageSize;
    if (k.version >= GENERIC_TABLES_SINCE) must(pages <= MAX_PAGES, rule["IOMMUFD-MOCKDIRTY-2"]);
    const hwpt = k.selftest.mockPagetable(context, block.u32(8));
    const { dirty } = hwpt;
    must(dirty?.tracking === true, rule["IOMMUFD-MOCKDIRTY-3"]);
    // Older kernels ask for memory for whatever is said.
    if (pages > MAX_PAGES) throw new Unmodelled("whether there is memory for so long a bitmap");
    const bytes = (pages + 7n) / 8n;
    const written = at(address);
    written.copyFrom(Number(bytes), rule["IOMMUFD-MOCKDIRTY-4"]);
    let count = 0;
    for (let i = 0; i < pages; i++) {
      if (((written.bytes[i >> 3] ?? 0) & (1 << (i & 7))) === 0) continue;
      if (k.selftest.write(k, hwpt, iova + BigInt(i) * pageSize, pageSize)) count++;
    }
    block.put(56, 8, count, rule["IOMMUFD-MOCKDIRTY-5"]);
    k.keeps(rule["IOMMUFD-MOCKDIRTY-6"]);
    return 0;
  },
});

testOp("MD_CHECK_IOTLB", {
  op: 14,
  since: "6.8",
  id: field.id("hwpt"),
  fields: { id_1: field.value32(0, 1, 2, 3, 4), iotlb: field.value32(0x0bad_beef, 0, 1) },
  useful: (_k, { context }) => context.some("nested"),
  *run(k, { context }, { block }): Operation<number> {
    const object = context.get(block.u32(8));
    must(object?.kind === "nested" && object.table instanceof MockCache, rule["IOMMUFD-CHECKCACHE-1"]);
    must(object.table.entries[block.u32(16)] === block.u32(20), rule["IOMMUFD-CHECKCACHE-2"]);
    k.keeps(rule["IOMMUFD-CHECKCACHE-3"]);
    return 0;
  },
});

const LAST_PAGE = 2;
const PASID_VALID = 1;

testOp("TRIGGER_IOPF", {
  op: 15,
  since: "6.11",
  fields: {
    dev_id: field.id("devid"),
    pasid: field.value32(0, 0, 0, 1),
    grpid: field.value32(2, 0),
    perm: field.flags({ IOMMU_PGFAULT_PERM_READ: 1, IOMMU_PGFAULT_PERM_WRITE: 2 }),
    addr: field.value64(0xdeadbeaf, 0),
  },
  useful: (_k, { context }) => context.some("fault"),
  *run(k, { context }, { block }): Operation<number> {
    using device = k.iommufdDevice.get(context, block.u32(16), rule["IOMMUFD-MOCKFAULT-1"]);
    if (device.device.iommuDriver !== "mock") {
      if (!k.since("6.18")) throw new Unmodelled("a fault of a device that is no mock");
      must(false, rule["IOMMUFD-MOCKFAULT-2"]);
    }
    const pasid = block.u32(20);
    const via = k.selftest.faultsVia(device, pasid);
    const queue = device.igroup.attachments.get(via)?.hwpt.fault;
    if (queue) {
      const fault: PageFault = {
        flags: LAST_PAGE | (pasid === 0 ? 0 : PASID_VALID),
        pasid,
        via,
        group: block.u32(24),
        perm: block.u32(28),
        address: block.u64(32),
        device,
      };
      k.iommufdDevice.deliverFault(queue, fault);
    }
    k.keeps(rule["IOMMUFD-MOCKFAULT-3"]);
    return 0;
  },
});

export const steps = {
  /** Writes to the page at an address; whether it counts as written. */
  write(k: Kernel, { ioas, dirty }: Hwpt, iova: bigint, pageSize: bigint): boolean {
    const area = ioas.pagetable.firstArea(iova, iova);
    const isMapped = area?.ready === true && !area.pages.revoked;
    if (k.version >= GENERIC_TABLES_SINCE) {
      if (isMapped) dirty?.mark(iova);
      return true;
    }
    if (pageSize !== BigInt(IO_PAGE)) throw new Unmodelled("pages of another size than the mock's");
    if (isMapped) dirty?.mark(iova);
    return isMapped;
  },

  /**
   * find_fault_handler: the PASID under which a fault is taken. A mock has a PASID table of its own, so that a nested page
   * table takes those of PASIDs that are not attached.
   */
  faultsVia({ igroup: { attachments, hwpt } }: IommufdDevice, pasid: number): number {
    return !attachments.has(pasid) && hwpt?.kind === "nested" ? NO_PASID : pasid;
  },
};
