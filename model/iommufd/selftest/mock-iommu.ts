/** The IOMMU of the kernel's selftests, which is made of software. Beside drivers/iommu/iommufd/selftest.c. */
import type { IommuOps, NestedTable, UserData, UserRequests } from "../../iommu/driver.ts";
import { clauses, must } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { writeValue } from "../../uapi/layout.ts";
import { SELFTEST, selftestSource } from "./command.ts";
import { GENERIC_TABLES_SINCE } from "./mock-device.ts";
import { mockViommu } from "./mock-viommu.ts";

export const rule = clauses({
  "IOMMUFD-MOCKTABLE-1": {
    ...SELFTEST,
    rule: "a mock's page table is made of no data",
    errno: "EOPNOTSUPP",
    source: selftestSource("mock_domain_alloc_user"),
    since: "6.7",
    until: "6.18",
  },
  "IOMMUFD-MOCKTABLE-2": {
    ...SELFTEST,
    rule: "data for a mock's page table is of the selftests' own type",
    errno: "EOPNOTSUPP",
    source: selftestSource("mock_domain_alloc_paging_flags"),
    since: "6.19",
  },
  "IOMMUFD-MOCKTABLE-3": {
    ...SELFTEST,
    rule: "data for a mock's page table has the length of a struct that some kernel has had, and no more than this one's",
    errno: "EINVAL",
    source: "include/linux/iommu.h:__iommu_copy_struct_from_user",
    since: "6.8",
  },
  "IOMMUFD-MOCKTABLE-4": {
    ...SELFTEST,
    rule: "data for a mock's page table must be readable",
    errno: "EFAULT",
    source: "include/linux/iommu.h:__iommu_copy_struct_from_user",
    since: "6.8",
  },
  "IOMMUFD-MOCKTABLE-5": {
    ...SELFTEST,
    rule: "a mock's page table is of a kind that the selftests have",
    errno: "EOPNOTSUPP",
    source: selftestSource("mock_domain_alloc_pgtable"),
    since: "6.19",
  },
  "IOMMUFD-MOCKTABLE-6": {
    ...SELFTEST,
    rule: "data for a page table that is nested in a mock's is of the selftests' own type",
    errno: "EOPNOTSUPP",
    source: selftestSource("mock_domain_alloc_nested"),
    since: "6.8",
  },
  "IOMMUFD-MOCKCACHE-1": {
    ...SELFTEST,
    rule: "requests are of the selftests' own type, also where there are none",
    errno: "EINVAL",
    source: selftestSource("mock_domain_cache_invalidate_user"),
    since: "6.8",
  },
  "IOMMUFD-MOCKCACHE-2": {
    ...SELFTEST,
    rule: "a request has the length of the selftests' struct",
    errno: "EINVAL",
    source: "include/linux/iommu.h:__iommu_copy_struct_from_user",
    since: "6.8",
  },
  "IOMMUFD-MOCKCACHE-3": {
    ...SELFTEST,
    rule: "a request must be readable",
    errno: "EFAULT",
    source: "include/linux/iommu.h:__iommu_copy_struct_from_user",
    partial: true,
    since: "6.8",
  },
  "IOMMUFD-MOCKCACHE-4": {
    ...SELFTEST,
    rule: "a request has flags that the selftests know",
    errno: "EOPNOTSUPP",
    source: selftestSource("mock_domain_cache_invalidate_user"),
    partial: true,
    since: "6.8",
  },
  "IOMMUFD-MOCKCACHE-5": {
    ...SELFTEST,
    rule: "a request names an entry that the mock has, also where it is about all of them",
    errno: "EINVAL",
    source: selftestSource("mock_domain_cache_invalidate_user"),
    partial: true,
    since: "6.8",
  },
});

/** IOMMU_HW_INFO_TYPE_SELFTEST and IOMMU_HW_INFO_SELFTEST_REGVAL */
const INFO_TYPE = 0xfeed_beef;
const INFO_REGISTER = 0xdead_beef;
/** IOMMU_HWPT_DATA_SELFTEST and IOMMU_HWPT_INVALIDATE_DATA_SELFTEST */
const TABLE_DATA = 0xdead;
const CACHE_DATA = 0xdead_beef;
/** Bytes of struct iommu_hwpt_selftest in the beginning, and since page tables are of kinds. */
const TABLE_DATA_MIN = 4;
const TABLE_DATA_SIZE = 8;
/** sizeof(struct iommu_hwpt_invalidate_selftest): flags, and an entry. */
const REQUEST_SIZE = 8;
const INVALIDATE_ALL = 1;
/** MOCK_NESTED_DOMAIN_IOTLB_NUM */
const CACHE_ENTRIES = 4;
/** enum of page tables: the mock's own, or one with large pages and reaching as far as its three levels. */
const HUGE = 1;
const HUGE_SHAPE = { aperture: { start: 0n, last: (1n << 38n) - 1n }, pageSizes: 0x10_1000n };

/** struct mock_iommu_domain_nested: a cache of four numbers, which stay until they are invalidated. */
export class MockCache implements NestedTable {
  readonly entries: Uint32Array;

  constructor(value: number) {
    this.entries = new Uint32Array(CACHE_ENTRIES).fill(value);
  }

  trace(): number {
    return this.entries.reduce((sum, entry, at) => (sum * 31 + (entry === 0 ? at : 7)) >>> 0, 0);
  }

  invalidate({ type, entryLength, count, block }: UserRequests, handled: () => void): void {
    must(type === CACHE_DATA, rule["IOMMUFD-MOCKCACHE-1"]);
    if (count > 0) must(entryLength === REQUEST_SIZE, rule["IOMMUFD-MOCKCACHE-2"]);
    for (let i = 0; i < count; i++) {
      const at = i * REQUEST_SIZE;
      block.copyFrom(at + REQUEST_SIZE, rule["IOMMUFD-MOCKCACHE-3"], at);
      const flags = block.u32(at);
      const entry = block.u32(at + 4);
      must((flags & ~INVALIDATE_ALL) === 0, rule["IOMMUFD-MOCKCACHE-4"]);
      must(entry < CACHE_ENTRIES, rule["IOMMUFD-MOCKCACHE-5"]);
      if (flags & INVALIDATE_ALL) this.entries.fill(0);
      else this.entries[entry] = 0;
      handled();
    }
  }
}

/** iommu_copy_struct_from_user of a struct iommu_hwpt_selftest, in which zeros stand for what the caller leaves out. */
function tableData({ version }: Kernel, { length, block }: UserData): { iotlb: number; kind: number } {
  const size = version >= GENERIC_TABLES_SINCE ? TABLE_DATA_SIZE : TABLE_DATA_MIN;
  must(length >= TABLE_DATA_MIN && length <= size, rule["IOMMUFD-MOCKTABLE-3"]);
  block.copyFrom(length, rule["IOMMUFD-MOCKTABLE-4"]);
  const kind = block.u32(TABLE_DATA_MIN) & (2 ** (8 * (length - TABLE_DATA_MIN)) - 1);
  return { iotlb: block.u32(0), kind: kind >>> 0 };
}

export const mockOps: IommuOps = {
  answersFaults: true,
  enforcesCacheCoherency: () => false,

  suits: ({ dirtyTracking }, { kind, paging }) => kind === "nested" || paging.dirty === null || dirtyTracking,

  hwInfo() {
    const bytes = new Uint8Array(8);
    writeValue(new DataView(bytes.buffer), 4, 4, INFO_REGISTER);
    return { type: INFO_TYPE, bytes };
  },

  allocPaging(k, device, _flags, data) {
    if (data === null) return device;
    must(k.version >= GENERIC_TABLES_SINCE, rule["IOMMUFD-MOCKTABLE-1"]);
    must(data.type === TABLE_DATA, rule["IOMMUFD-MOCKTABLE-2"]);
    const { kind } = tableData(k, data);
    must(kind <= HUGE, rule["IOMMUFD-MOCKTABLE-5"]);
    return kind === HUGE ? HUGE_SHAPE : device;
  },

  viommu: mockViommu,

  allocNested(k, _device, data) {
    must(data.type === TABLE_DATA, rule["IOMMUFD-MOCKTABLE-6"]);
    return new MockCache(tableData(k, data).iotlb);
  },
};
