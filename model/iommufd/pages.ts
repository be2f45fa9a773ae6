/** The user memory behind mappings, which is pinned while a device can reach it. Beside drivers/iommu/iommufd/pages.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { MEMORY } from "../kernel/memory-map.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";

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
});

/** IOMMU_IOAS_MAP_FILE moved the check of the length behind that of the end. */
const END_FIRST_SINCE = versionNumber("6.13");

/** What every target maps for a program; before `LAID_OUT_BEFORE` there is nothing else from the first of them on. */
const REGIONS = [
  { start: MEMORY.user, end: MEMORY.user + BigInt(MEMORY.userSize), writable: true },
  { start: MEMORY.userReadonly, end: MEMORY.userReadonly + BigInt(MEMORY.userReadonlySize), writable: false },
  { start: MEMORY.scratch, end: MEMORY.scratch + BigInt(MEMORY.scratchSize), writable: true },
  { start: MEMORY.scratchReadonly, end: MEMORY.scratchReadonly + BigInt(MEMORY.scratchSize), writable: false },
];
/** Stack and libraries are above. */
const LAID_OUT_BEFORE = 0x2000_0000_0000n;
/** TASK_SIZE_MAX with four-level page tables: no user memory from here on. */
const USER_END = (1n << 47n) - PAGE_SIZE;
/** vm.mmap_min_addr at the least: nobody's memory. */
const LOWEST_MAPPABLE = 0x1_0000n;

/** What the pages from `first` up to `end` are to the caller. */
function accessOf(first: bigint, end: bigint): "writable" | "readonly" | "missing" {
  for (const region of REGIONS) {
    if (first < region.start || first >= region.end) continue;
    if (end > region.end) return "missing";
    return region.writable ? "writable" : "readonly";
  }
  if (first < LOWEST_MAPPABLE || first >= USER_END) return "missing";
  if (first >= MEMORY.scratch && first < LAID_OUT_BEFORE) return "missing";
  throw new Unmodelled("mapping memory outside the regions that every target lays out");
}

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
    const first = area.userAddress - area.pageOffset;
    const access = accessOf(first, first + BigInt(area.pages) * PAGE_SIZE);
    must(access !== "missing", rule["IOMMUFD-PAGES-3"]);
    must(access === "writable" || !area.writable, rule["IOMMUFD-PAGES-4"]);
    area.pinned = true;
    k.pinnedPages += area.pages;
    k.keeps(rule["IOMMUFD-PAGES-5"]);
  },

  /** Gives an area's pages back, after the last hwpt. */
  *unpin(k: Kernel, area: Area): Operation<void> {
    if (!area.pinned) return;
    using _ = yield* k.lock(area.pagesMutex);
    area.pinned = false;
    k.pinnedPages -= area.pages;
    k.keeps(rule["IOMMUFD-PAGES-5"]);
  },
};
