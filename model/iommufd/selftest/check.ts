/**
 * Ops that look at what the kernel has done: what a mock's page table holds, and how often memory is pinned. They judge the
 * model as much as the kernel: what it says is mapped and pinned must be so to the page. Beside drivers/iommu/iommufd/selftest.c.
 */
import { clauses, must } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { PAGE } from "../../kernel/mm.ts";
import type { Operation } from "../../kernel/operation.ts";
import { field } from "../../uapi/layout.ts";
import { U64_MAX } from "../../uapi/u64.ts";
import type { Hwpt, IommufdContext } from "../objects.ts";
import { SELFTEST, selftestSource, testOp } from "./command.ts";
import { GENERIC_TABLES_SINCE } from "./mock-device.ts";

export const rule = clauses({
  "IOMMUFD-CHECKMAP-1": {
    ...SELFTEST,
    rule: "what is looked at must be aligned to the mock's pages, and end before the end of the address space",
    errno: "EINVAL",
    source: selftestSource("iommufd_test_md_check_pa"),
  },
  "IOMMUFD-CHECKMAP-2": {
    ...SELFTEST,
    rule: "id must be the id of an hwpt that is filled from an IOAS",
    errno: "ENOENT",
    source: selftestSource("get_md_pagetable"),
  },
  "IOMMUFD-CHECKMAP-3": {
    since: SELFTEST.since,
    kconfig: SELFTEST.kconfig,
    rule: "only the page tables of mocks can be looked into",
    errno: "EINVAL",
    source: selftestSource("get_md_pagetable"),
  },
  "IOMMUFD-CHECKMAP-4": {
    ...SELFTEST,
    rule: "the memory that is to be compared must be there",
    errno: "EFAULT",
    source: selftestSource("iommufd_test_md_check_pa"),
  },
  "IOMMUFD-CHECKMAP-7": {
    ...SELFTEST,
    rule: "the memory that is to be compared must not be in the last page of the address space",
    errno: "EOVERFLOW",
    source: "mm/gup.c:gup_fast_fallback",
  },
  "IOMMUFD-CHECKMAP-5": {
    ...SELFTEST,
    rule: "every page of the range must lead to the caller's",
    errno: "EINVAL",
    source: selftestSource("iommufd_test_md_check_pa"),
  },
  "IOMMUFD-CHECKMAP-6": {
    ...SELFTEST,
    rule: "a page table holds exactly what is mapped in its IOAS, byte for byte, as soon as it is mapped and until it is unmapped",
    source: selftestSource("iommufd_test_md_check_pa"),
  },
  "IOMMUFD-CHECKREFS-1": {
    ...SELFTEST,
    rule: "memory whose pins are to be counted must consist of whole pages, and end before the end of the address space",
    errno: "EINVAL",
    source: selftestSource("iommufd_test_md_check_refs"),
  },
  "IOMMUFD-CHECKREFS-2": {
    ...SELFTEST,
    rule: "memory whose pins are to be counted must be there",
    errno: "EFAULT",
    source: selftestSource("iommufd_test_md_check_refs"),
  },
  "IOMMUFD-CHECKREFS-3": {
    ...SELFTEST,
    rule: "every page must be pinned as often as the caller says",
    errno: "EIO",
    source: selftestSource("iommufd_test_md_check_refs"),
  },
  "IOMMUFD-CHECKREFS-4": {
    ...SELFTEST,
    rule: "each mapping pins its memory once, however many page tables and accesses reach it, and not longer than one of them does",
    source: selftestSource("iommufd_test_md_check_refs"),
  },
  "IOMMUFD-MEMLIMIT-1": {
    ...SELFTEST,
    rule: "batches must have room for one element",
    errno: "EINVAL",
    source: selftestSource("iommufd_test"),
  },
  "IOMMUFD-MEMLIMIT-2": {
    ...SELFTEST,
    rule: "the size of batches changes nothing that a caller can see",
    source: selftestSource("iommufd_test"),
    observable: "later-call",
  },
});

/** Whether that much memory from an address on is in the address space, on the kernel's terms. */
const fits = (address: bigint, length: bigint): boolean => address + length <= U64_MAX;

export const mdCheckMap = testOp("MD_CHECK_MAP", {
  op: 3,
  since: "6.2",
  id: field.id("hwpt"),
  fields: { iova: field.iova(), length: field.length(), uptr: field.userAddress() },
  useful: (_k, { context }) => context.some("hwpt"),
  *run(k, { context }, { block }): Operation<number> {
    const iova = block.u64(16);
    const length = block.u64(24);
    const address = block.u64(32);
    // Since page tables differ in their pages, the page table comes first.
    const wasAligned = k.selftest.isAligned(2048n, iova, length, address);
    if (k.version < GENERIC_TABLES_SINCE) must(wasAligned, rule["IOMMUFD-CHECKMAP-1"]);
    const hwpt = k.selftest.mockPagetable(context, block.u32(8));
    must(k.selftest.isAligned(hwpt.pageSize, iova, length, address), rule["IOMMUFD-CHECKMAP-1"]);
    for (let done = 0n; done < length; done += hwpt.pageSize) {
      const uptr = address + done;
      const page = uptr & ~(PAGE - 1n);
      must(page + PAGE <= U64_MAX, rule["IOMMUFD-CHECKMAP-7"]);
      must(k.mm.reach(page, 1).pages === 1, rule["IOMMUFD-CHECKMAP-4"]);
      must(k.selftest.translate(k, hwpt, iova + done) === k.mm.physical(uptr), rule["IOMMUFD-CHECKMAP-5"]);
    }
    k.keeps(rule["IOMMUFD-CHECKMAP-6"]);
    return 0;
  },
});

export const mdCheckRefs = testOp("MD_CHECK_REFS", {
  op: 4,
  since: "6.2",
  fields: { length: field.length(), uptr: field.userAddress(), refs: field.value32(1, 0, 2) },
  *run(k, _file, { block }): Operation<number> {
    const length = block.u64(16);
    const address = block.u64(24);
    const refs = block.u32(32);
    must(((length | address) & (PAGE - 1n)) === 0n && fits(address, length), rule["IOMMUFD-CHECKREFS-1"]);
    for (let done = 0n; done < length; done += PAGE) {
      must(k.mm.reach(address + done, 1).pages === 1, rule["IOMMUFD-CHECKREFS-2"]);
      must(k.mm.pinsOf(address + done) === refs, rule["IOMMUFD-CHECKREFS-3"]);
    }
    k.keeps(rule["IOMMUFD-CHECKREFS-4"]);
    return 0;
  },
});

/** One element of a batch, an address and a count. */
const ELEMENT = 12;

export const setTempMemoryLimit = testOp("SET_TEMP_MEMORY_LIMIT", {
  op: 9,
  since: "6.2",
  fields: { limit: field.value32(65536, ELEMENT, 16, ELEMENT - 1) },
  *run(k, _file, { block }): Operation<number> {
    must(block.u32(16) >= ELEMENT, rule["IOMMUFD-MEMLIMIT-1"]);
    k.keeps(rule["IOMMUFD-MEMLIMIT-2"]);
    return 0;
  },
});

export const steps = {
  /** The first checks of iommufd_test_md_check_pa. */
  isAligned(pageSize: bigint, iova: bigint, length: bigint, address: bigint): boolean {
    return ((iova | length | address) & (pageSize - 1n)) === 0n && fits(address, length);
  },

  /** get_md_pagetable */
  mockPagetable(context: IommufdContext, id: number): Hwpt {
    const object = context.get(id);
    must(object?.kind === "hwpt", rule["IOMMUFD-CHECKMAP-2"]);
    must(object.driver === "mock", rule["IOMMUFD-CHECKMAP-3"]);
    return object;
  },

  /** iommu_iova_to_phys: the memory behind an address; undefined where nothing is mapped. */
  translate(k: Kernel, { ioas }: Hwpt, iova: bigint): bigint | undefined {
    const area = ioas.pagetable.firstArea(iova, iova);
    if (!area?.ready || area.pages.file) return undefined;
    const { mm } = area.pages.owner;
    const page = mm.physical(area.address + (iova - area.start));
    return mm === k.mm ? page : undefined;
  },
};
