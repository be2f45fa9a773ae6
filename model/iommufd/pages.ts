/** The user memory behind mappings, which is pinned while a device can reach it. Beside drivers/iommu/iommufd/pages.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { versionNumber } from "../uapi/version.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { type Area, PAGE_SIZE, U64_MAX } from "./io-pagetable.ts";

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
  "IOMMUFD-PAGES-4": {
    ...IOMMUFD,
    rule: "memory that a device is to write to must be writable for the caller",
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
});

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

  /** Pins an area's pages, for the first hwpt that needs them. */
  *pin(k: Kernel, area: Area): Operation<void> {
    using _ = yield* k.lock(area.pagesMutex);
    const reach = k.mm.reach(area.userAddress - area.pageOffset, area.pages);
    must(reach.pages === area.pages, rule["IOMMUFD-PAGES-3"]);
    must(reach.writable || !area.writable, rule["IOMMUFD-PAGES-4"]);
    const limit = k.task.credentials.memlockPages;
    if (area.counted === "user") {
      must(k.mm.userLockedPages + area.pages <= limit, rule["IOMMUFD-PAGES-6"]);
      k.mm.userLockedPages += area.pages;
    } else if (area.counted === "process") {
      must(k.mm.lockedPages + area.pages <= limit, rule["IOMMUFD-PAGES-7"]);
      k.mm.lockedPages += area.pages;
    }
    area.pinned = true;
    k.mm.pinnedPages += area.pages;
    k.keeps(rule["IOMMUFD-PAGES-5"]);
  },

  /** Gives an area's pages back, after the last hwpt. */
  *unpin(k: Kernel, area: Area): Operation<void> {
    if (!area.pinned) return;
    using _ = yield* k.lock(area.pagesMutex);
    area.pinned = false;
    if (area.counted === "user") k.mm.userLockedPages -= area.pages;
    if (area.counted === "process") k.mm.lockedPages -= area.pages;
    k.mm.pinnedPages -= area.pages;
    k.keeps(rule["IOMMUFD-PAGES-5"]);
  },
};
