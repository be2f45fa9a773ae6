/** Ops on accesses, which stand in for what emulated devices do with an IOAS. Beside drivers/iommu/iommufd/selftest.c. */
import { clauses, must } from "../../kernel/clause.ts";
import type { ChoiceSite, Kernel } from "../../kernel/kernel.ts";
import type { Operation } from "../../kernel/operation.ts";
import { field } from "../../uapi/layout.ts";
import { U64_MAX } from "../../uapi/u64.ts";
import { PAGE_SIZE } from "../io-pagetable.ts";
import type { AccessPin } from "../objects.ts";
import { AccessFile } from "./access-file.ts";
import { steps as memory } from "./access-memory.ts";
import { respondSize, SELFTEST, selftestSource, testOp } from "./command.ts";

export const rule = clauses({
  "IOMMUFD-STACCESS-1": {
    ...SELFTEST,
    rule: "an access can only be asked to be able to pin pages",
    errno: "EOPNOTSUPP",
    source: selftestSource("iommufd_test_create_access"),
  },
  "IOMMUFD-STACCESS-2": {
    ...SELFTEST,
    rule: "the struct must be writable; where it is not, no access is left",
    errno: "EFAULT",
    source: selftestSource("iommufd_test_create_access"),
  },
  "IOMMUFD-STACCESS-3": {
    ...SELFTEST,
    rule: "out_access_fd brings the descriptor of an access that is attached; closing it unpins all and destroys the access",
    source: selftestSource("iommufd_test_create_access"),
    observable: "output",
  },
  "IOMMUFD-STACCESS-4": {
    ...SELFTEST,
    rule: "id must be the descriptor of an access",
    errno: "EBADFD",
    source: selftestSource("iommufd_access_get"),
  },
  "IOMMUFD-STACCESS-5": {
    ...SELFTEST,
    rule: "an access that changes its IOAS lets go of all that it has pinned in the old one",
    source: selftestSource("iommufd_test_access_replace_ioas"),
    since: "6.6",
    observable: "later-call",
  },
  "IOMMUFD-STPAGES-1": {
    ...SELFTEST,
    rule: "no more than 16 MiB can be pinned at once",
    errno: "ENOMEM",
    source: selftestSource("iommufd_test_access_pages"),
  },
  "IOMMUFD-STPAGES-2": {
    ...SELFTEST,
    rule: "unknown flags are refused",
    errno: "EOPNOTSUPP",
    source: selftestSource("iommufd_test_access_pages"),
  },
  "IOMMUFD-STPAGES-3": {
    ...SELFTEST,
    rule: "only an access that was asked to can pin pages",
    errno: "EOPNOTSUPP",
    source: selftestSource("iommufd_test_access_pages"),
  },
  "IOMMUFD-STPAGES-4": {
    ...SELFTEST,
    rule: "where the caller says which memory was pinned, it must be there to be compared",
    errno: "EFAULT",
    source: selftestSource("iommufd_test_check_pages"),
  },
  "IOMMUFD-STPAGES-9": {
    ...SELFTEST,
    rule: "where the caller says which memory was pinned, it must not run over the end of the address space",
    errno: "EOVERFLOW",
    source: "mm/gup.c:gup_fast_fallback",
  },
  "IOMMUFD-STPAGES-5": {
    ...SELFTEST,
    rule: "where the caller says which memory was pinned, it must be that",
    errno: "EBADE",
    source: selftestSource("iommufd_test_check_pages"),
  },
  "IOMMUFD-STPAGES-6": {
    ...SELFTEST,
    rule: "the struct must be writable; where it is not, nothing stays pinned",
    errno: "EFAULT",
    source: selftestSource("iommufd_test_access_pages"),
  },
  "IOMMUFD-STPAGES-7": {
    ...SELFTEST,
    rule: "out_access_pages_id brings a number by which the pages are given back",
    source: selftestSource("iommufd_test_access_pages"),
    observable: "output",
  },
  "IOMMUFD-STPAGES-8": {
    ...SELFTEST,
    rule: "only what the access has pinned and not yet let go of can be given back",
    errno: "ENOENT",
    source: selftestSource("iommufd_test_access_item_destroy"),
  },
});

/** MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES */
const NEEDS_PIN_PAGES = 1;
const ACCESS_FD = 16;
const CHOSEN_FD: ChoiceSite = { at: "field", offset: ACCESS_FD, width: 4 };

export const createAccess = testOp("CREATE_ACCESS", {
  op: 5,
  since: "6.2",
  id: field.id("ioas"),
  fields: { out_access_fd: field.out32("access"), flags: field.flags({ NEEDS_PIN_PAGES }, 1, 1, 0) },
  useful: (_k, { context }) => context.someIoas(),
  *run(k, { context }, { block }): Operation<number> {
    const flags = block.u32(20);
    must((flags & ~NEEDS_PIN_PAGES) === 0, rule["IOMMUFD-STACCESS-1"]);
    const pins = (flags & NEEDS_PIN_PAGES) !== 0;
    k.alloc();
    const fd = k.chooseFd(CHOSEN_FD);
    const access = yield* k.iommufdDevice.createAccess(k, context, null, pins ? PAGE_SIZE : 1n);
    try {
      yield* k.iommufdDevice.attachAccess(k, access, block.u32(8));
      must(block.canWrite(respondSize(block)), rule["IOMMUFD-STACCESS-2"]);
    } catch (refusal) {
      yield* k.iommufdDevice.destroyAccess(k, access);
      throw refusal;
    }
    block.put(ACCESS_FD, 4, fd, rule["IOMMUFD-STACCESS-2"]);
    k.fds.install(fd, new AccessFile(access, pins));
    k.keeps(rule["IOMMUFD-STACCESS-3"]);
    return 0;
  },
});

export const accessReplaceIoas = testOp("ACCESS_REPLACE_IOAS", {
  op: 11,
  since: "6.6",
  id: field.fd("access"),
  fields: { ioas_id: field.id("ioas") },
  useful: (_k, { context }) => context.someAccess(),
  *run(k, _file, { block }): Operation<number> {
    const { access } = k.selftest.accessFile(k, block.u32(8));
    yield* k.iommufdDevice.replaceAccess(k, access, block.u32(16));
    k.keeps(rule["IOMMUFD-STACCESS-5"]);
    return 0;
  },
});

/** MOCK_FLAGS_ACCESS_WRITE and MOCK_FLAGS_ACCESS_SYZ */
const WRITE = 1;
const NTH_MAPPING = 1 << 16;
const MOST = 16n << 20n;

const PAGES_ID = 20;
const CHOSEN_PAGES_ID: ChoiceSite = { at: "field", offset: PAGES_ID, width: 4 };

export const accessPages = testOp("ACCESS_PAGES", {
  op: 7,
  since: "6.2",
  id: field.fd("access"),
  fields: {
    flags: field.flags({ WRITE, NTH_MAPPING }, 0, WRITE, 0, WRITE, NTH_MAPPING),
    out_access_pages_id: field.out32("pin"),
    iova: field.iova(),
    length: field.length(),
    uptr: field.userAddress(),
  },
  useful: (_k, { context }) => context.someAccess(),
  *run(k, _file, { block }): Operation<number> {
    const length = block.u64(32);
    const flags = block.u32(16);
    must(length <= MOST, rule["IOMMUFD-STPAGES-1"]);
    must((flags & ~(WRITE | NTH_MAPPING)) === 0, rule["IOMMUFD-STPAGES-2"]);
    const file = k.selftest.accessFile(k, block.u32(8));
    must(file.pins, rule["IOMMUFD-STPAGES-3"]);
    const iova = k.selftest.place(file, flags, block.u64(24));
    k.alloc();
    using _ = yield* k.lock(file.lock);
    const pins = yield* k.iommufdDevice.pinAccess(k, file.access, iova, length, (flags & WRITE) !== 0);
    try {
      const uptr = block.u64(40);
      if (uptr !== 0n) k.selftest.comparePages(k, pins, uptr - (iova & (PAGE_SIZE - 1n)));
      k.alloc();
      must(block.canWrite(respondSize(block)), rule["IOMMUFD-STPAGES-6"]);
    } catch (refusal) {
      yield* k.iommufdDevice.unpinAccess(k, file.access, pins);
      throw refusal;
    }
    const isFree = (id: bigint): boolean => !file.items.some((item) => item.id === Number(id));
    const id = Number(k.choose(CHOSEN_PAGES_ID, BigInt(file.nextId), isFree));
    file.add(id, iova, length, pins);
    block.put(PAGES_ID, 4, id, rule["IOMMUFD-STPAGES-6"]);
    k.keeps(rule["IOMMUFD-STPAGES-7"]);
    return 0;
  },
});

export const destroyAccessPages = testOp("DESTROY_ACCESS_PAGES", {
  op: 6,
  since: "6.2",
  id: field.fd("access"),
  fields: { access_pages_id: field.id("pin") },
  useful: (_k, { context }) => context.someAccess(),
  *run(k, _file, { block }): Operation<number> {
    const file = k.selftest.accessFile(k, block.u32(8));
    using _ = yield* k.lock(file.lock);
    const pins = file.takeItem(block.u32(16));
    must(pins !== undefined, rule["IOMMUFD-STPAGES-8"]);
    yield* k.iommufdDevice.unpinAccess(k, file.access, pins);
    return 0;
  },
});

export const steps = {
  ...memory,

  /** iommufd_access_get: the access of a descriptor, whatever iommufd it is of. */
  accessFile(k: Kernel, fd: number): AccessFile {
    const file = k.fds.get(fd);
    must(file instanceof AccessFile, rule["IOMMUFD-STACCESS-4"]);
    return file;
  },

  /** iommufd_test_syz_conv_iova: an address, or a byte in the n-th mapping. */
  place({ access }: AccessFile, flags: number, iova: bigint): bigint {
    if ((flags & NTH_MAPPING) === 0) return iova;
    const area = access.ioas?.pagetable.areas[Number(iova & 0xffff_ffffn)];
    return area ? BigInt.asUintN(64, area.start + (iova >> 32n)) : 0n;
  },

  /** iommufd_test_check_pages: each page that was pinned must be the caller's. */
  comparePages(k: Kernel, pins: readonly AccessPin[], uptr: bigint): void {
    let page = BigInt.asUintN(64, uptr) & ~(PAGE_SIZE - 1n);
    for (const { area, user } of pins) {
      for (let at = user.firstPage; at <= user.lastPage; at++, page += PAGE_SIZE) {
        must(page + PAGE_SIZE <= U64_MAX, rule["IOMMUFD-STPAGES-9"]);
        must(k.mm.reach(page, 1).pages === 1, rule["IOMMUFD-STPAGES-4"]);
        const { file, address, owner } = area.pages;
        const pinned = file ? undefined : owner.mm.physical(address + BigInt(at) * PAGE_SIZE);
        must(owner.mm === k.mm && pinned === k.mm.physical(page), rule["IOMMUFD-STPAGES-5"]);
      }
    }
  },
};
