/** The user memory behind mappings, which is pinned while a device can reach it. Beside drivers/iommu/iommufd/pages.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { U64_MAX } from "../uapi/u64.ts";
import { versionNumber } from "../uapi/version.ts";
import { type Area, type PageRange, type Pages, pagesOf } from "./area.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { PAGE_SIZE } from "./io-pagetable.ts";

export const rule = clauses({
  "IOMMUFD-PAGES-1": {
    ...IOMMUFD,
    rule: "a mapping must have a length, and one that leaves room for a page",
    errno: "EINVAL",
    source: iommufdSource("pages", "iopt_alloc_pages"),
  },
  "IOMMUFD-PAGES-2": {
    ...IOMMUFD,
    rule: "the user memory must end before the end of the address space",
    errno: "EOVERFLOW",
    source: iommufdSource("pages", "iopt_alloc_pages"),
  },
  "IOMMUFD-PAGES-3": {
    ...IOMMUFD,
    rule: "memory that a device is to reach must be there",
    errno: "EFAULT",
    source: iommufdSource("pages", "pfn_reader_user_pin"),
  },
  "IOMMUFD-PAGES-10": {
    since: "6.2",
    kconfig: ["IOMMUFD", "IOMMUFD_TEST"],
    // Who maps whole pages is told earlier.
    machine: "mock",
    rule: "the last page of the address space is nobody's memory: what ends in it can't be pinned",
    errno: "EOVERFLOW",
    source: "mm/gup.c:gup_fast_fallback",
  },
  "IOMMUFD-PAGES-4": {
    ...IOMMUFD,
    rule: "memory that a device is to write to must be writable for the caller",
    errno: "EFAULT",
    source: iommufdSource("pages", "pfn_reader_user_pin"),
  },
  "IOMMUFD-PAGES-11": {
    ...IOMMUFD,
    rule: "memory can't be pinned any more whose process has ended; what is pinned stays",
    errno: "EFAULT",
    source: iommufdSource("pages", "pfn_reader_user_pin"),
  },
  "IOMMUFD-PAGES-5": {
    ...IOMMUFD,
    rule: "pages are pinned, and counted for the process, as long as a device can reach them, and no longer",
    source: iommufdSource("pages", "do_update_pinned"),
    observable: "sysfs",
  },
  "IOMMUFD-PAGES-6": {
    ...IOMMUFD,
    rule: "what a caller without CAP_IPC_LOCK has pinned must stay within its user's limit on locked memory",
    errno: "ENOMEM",
    source: iommufdSource("pages", "incr_user_locked_vm"),
  },
  "IOMMUFD-PAGES-7": {
    ...IOMMUFD,
    kconfig: ["IOMMUFD", "IOMMUFD_VFIO_CONTAINER"],
    rule: "what is pinned through an iommufd that was opened as /dev/vfio/vfio counts as a container's would: for the process",
    errno: "ENOMEM",
    source: iommufdSource("main", "iommufd_fops_open"),
  },
  "IOMMUFD-PAGES-8": {
    ...IOMMUFD,
    rule: "a page that copies of a mapping share is pinned and counted once, until the last of them needs it no more",
    source: "include/uapi/linux/iommufd.h:iommu_ioas_copy",
    observable: "sysfs",
  },
});

/** Pages that are asked for at once: those whose addresses fit TEMP_MEMORY_LIMIT. */
const BATCH = 8192;

/** IOMMU_IOAS_MAP_FILE moved the check of the length behind that of the end. */
const END_FIRST_SINCE = versionNumber("6.13");

export const steps = {
  /** iopt_alloc_pages and its successor iopt_alloc_user_pages, which looks at the end of the range first. */
  checkUserRange(k: Kernel, userAddress: bigint, length: bigint): void {
    const fits = userAddress + length <= U64_MAX;
    if (k.version >= END_FIRST_SINCE) must(fits, rule["IOMMUFD-PAGES-2"]);
    must(length !== 0n && length <= U64_MAX - PAGE_SIZE, rule["IOMMUFD-PAGES-1"]);
    must(fits, rule["IOMMUFD-PAGES-2"]);
  },

  /** iopt_area_fill_domains: the first page table takes the area, which needs its pages from now on. */
  *pin(k: Kernel, area: Area): Operation<void> {
    yield* k.ioas.pinPages(k, area.pages, area);
    area.filled = true;
  },

  /** iopt_area_unfill_domains: the last page table has given the area up. */
  *unpin(k: Kernel, area: Area): Operation<void> {
    if (!area.filled) return;
    area.filled = false;
    yield* k.ioas.unpinPages(k, area.pages, area);
  },

  /** Pins pages for one more user of them: those that no other has pinned yet, or none where one of them can't be had. */
  *pinPages(k: Kernel, pages: Pages, user: PageRange): Operation<void> {
    using _ = yield* k.lock(pages.mutex);
    k.alloc();
    if (pages.buffer) return;
    const missing = k.ioas.missingPages(pages, user);
    for (const run of missing) k.ioas.reachPages(k, pages, run);
    const count = pagesOf(missing);
    if (count > 0) k.ioas.charge(k, pages, count);
    pages.users.push(user);
    pages.pinned += count;
    const { mm } = pages.owner;
    mm.pinners.add(pages);
    mm.pinnedPages += count;
    k.keeps(rule["IOMMUFD-PAGES-5"]);
    if (count < pagesOf([user])) k.keeps(rule["IOMMUFD-PAGES-8"]);
  },

  /** Gives up what pinPages gave to this user: pages that no other needs. */
  *unpinPages(k: Kernel, pages: Pages, user: PageRange): Operation<void> {
    using _ = yield* k.lock(pages.mutex);
    if (pages.buffer) return;
    pages.users.splice(pages.users.indexOf(user), 1);
    const count = pagesOf(k.ioas.missingPages(pages, user));
    const { mm } = pages.owner;
    if (pages.counted === "user") k.userLockedPages -= count;
    if (pages.counted === "process") mm.lockedPages -= count;
    pages.pinned -= count;
    if (pages.users.length === 0) mm.pinners.delete(pages);
    mm.pinnedPages -= count;
    k.keeps(rule["IOMMUFD-PAGES-5"]);
  },

  /** The pages of a range that nobody needs, as iopt_pages' interval trees tell. */
  missingPages(pages: Pages, range: PageRange): readonly PageRange[] {
    return pages.unpinnedIn(range);
  },

  /** pfn_reader_user_pin: the pages must be there, as the first call that mapped them wanted to use them. */
  reachPages(k: Kernel, pages: Pages, range: PageRange): void {
    if (pages.file) {
      k.ioas.reachFile(k, pages.file, pages, range);
      return;
    }
    const { address, writable } = pages;
    const { firstPage, lastPage } = range;
    const count = lastPage - firstPage + 1;
    const end = address + BigInt(lastPage + 1) * PAGE_SIZE;
    must(end <= U64_MAX || count > BATCH, rule["IOMMUFD-PAGES-10"]);
    const { mm } = pages.owner;
    must(!mm.gone, rule["IOMMUFD-PAGES-11"]);
    const reach = mm.reach(address + BigInt(firstPage) * PAGE_SIZE, count);
    must(reach.pages === count, rule["IOMMUFD-PAGES-3"]);
    must(reach.writable || !writable, rule["IOMMUFD-PAGES-4"]);
  },

  /** iopt_pages_update_pinned: counts pages for whose limit they fall under. */
  charge(k: Kernel, { counted, owner: { mm, credentials } }: Pages, count: number): void {
    const limit = credentials.memlockPages;
    if (counted === "user") {
      must(k.userLockedPages + count <= limit, rule["IOMMUFD-PAGES-6"]);
      k.userLockedPages += count;
    } else if (counted === "process") {
      must(mm.lockedPages + count <= limit, rule["IOMMUFD-PAGES-7"]);
      mm.lockedPages += count;
    }
  },

  /** iopt_put_pages: a mapping, or a call that was about to make one, has done with the memory. */
  putPages(k: Kernel, pages: Pages): void {
    pages.refs--;
    if (pages.refs > 0) return;
    pages.buffer?.importers.delete(pages);
    if (pages.file) k.putFile(pages.file);
  },
};
