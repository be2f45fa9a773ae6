/** Goals about mocks and accesses of the kernel's selftests. */
import { ioctlEnded } from "./ended.ts";
import { MOCK } from "./needs.ts";

export const mockAttached = ioctlEnded(
  "mock-attach",
  "a mock was made and attached",
  "IOMMU_TEST_OP_MOCK_DOMAIN",
  0,
  MOCK,
);
export const mockMoved = ioctlEnded(
  "mock-move",
  "a mock moved to another page table",
  "IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE",
  0,
  {
    ...MOCK,
    since: "6.6",
  },
);
export const mapChecked = ioctlEnded(
  "mock-check-map",
  "a page table held what is mapped",
  "IOMMU_TEST_OP_MD_CHECK_MAP",
  0,
  MOCK,
);
export const mapCheckRefused = ioctlEnded(
  "mock-check-map-refused",
  "a page table did not hold what is not mapped",
  "IOMMU_TEST_OP_MD_CHECK_MAP",
  "EINVAL",
  MOCK,
);
export const pinsCounted = ioctlEnded("mock-check-refs", "pins were counted", "IOMMU_TEST_OP_MD_CHECK_REFS", 0, MOCK);
export const accessPinned = ioctlEnded("access-pin", "an access pinned pages", "IOMMU_TEST_OP_ACCESS_PAGES", 0, MOCK);
export const accessGap = ioctlEnded(
  "access-gap",
  "an access could not pin what is not mapped",
  "IOMMU_TEST_OP_ACCESS_PAGES",
  "ENOENT",
  MOCK,
);
export const accessUnpinned = ioctlEnded(
  "access-unpin",
  "an access gave pages back",
  "IOMMU_TEST_OP_DESTROY_ACCESS_PAGES",
  0,
  MOCK,
);
export const accessMoved = ioctlEnded("access-rw", "an access read or wrote", "IOMMU_TEST_OP_ACCESS_RW", 0, MOCK);
export const accessReplaced = ioctlEnded(
  "access-replace",
  "an access changed its IOAS",
  "IOMMU_TEST_OP_ACCESS_REPLACE_IOAS",
  0,
  { ...MOCK, since: "6.6" },
);
