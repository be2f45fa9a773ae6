/** Goals about page tables that user space asks for, their faults, and virtual IOMMUs. */
import { ioctlEnded, moved, some } from "./ended.ts";
import { FAULTING, HWPT, PASIDS, TABLES, VIRTUAL } from "./needs.ts";

export const tableMade = ioctlEnded("hwpt-alloc", "a page table was asked for, and made", "IOMMU_HWPT_ALLOC", 0, HWPT);
export const tableRefused = ioctlEnded(
  "hwpt-alloc-refused",
  "a page table was asked for that the IOMMU has not",
  "IOMMU_HWPT_ALLOC",
  "EOPNOTSUPP",
  HWPT,
);
export const informed = ioctlEnded("hw-info", "a device told what its IOMMU is", "IOMMU_GET_HW_INFO", 0, HWPT);
export const queueMade = ioctlEnded("fault-queue", "a fault queue was made", "IOMMU_FAULT_QUEUE_ALLOC", 0, {
  ...HWPT,
  since: "6.11",
});
export const mockTableMade = ioctlEnded(
  "mock-hwpt-alloc",
  "a mock's page table was made",
  "IOMMU_HWPT_ALLOC",
  0,
  TABLES,
);
export const cacheInvalidated = ioctlEnded(
  "invalidate",
  "the cache of a nested page table was invalidated",
  "IOMMU_HWPT_INVALIDATE",
  0,
  TABLES,
);
export const cacheChecked = ioctlEnded(
  "mock-check-iotlb",
  "a cache held what it must",
  "IOMMU_TEST_OP_MD_CHECK_IOTLB",
  0,
  TABLES,
);
export const dirtyTold = ioctlEnded(
  "dirty-bitmap",
  "it was told what was written",
  "IOMMU_HWPT_GET_DIRTY_BITMAP",
  0,
  TABLES,
);
export const mockWrote = ioctlEnded("mock-dirty", "a mock wrote to memory", "IOMMU_TEST_OP_DIRTY", 0, TABLES);
export const faultRead = moved("fault-read", "a page fault was read", ["read"], "fault-queue", some, FAULTING);
export const faultAnswered = moved(
  "fault-answer",
  "a page fault was answered",
  ["write"],
  "fault-queue",
  some,
  FAULTING,
);
export const viommuMade = ioctlEnded("viommu", "a virtual IOMMU was made", "IOMMU_VIOMMU_ALLOC", 0, VIRTUAL);
export const viommuJoined = ioctlEnded("vdevice", "a device joined a virtual IOMMU", "IOMMU_VDEVICE_ALLOC", 0, VIRTUAL);
export const hwQueueMade = ioctlEnded("hw-queue", "a hardware queue was made", "IOMMU_HW_QUEUE_ALLOC", 0, {
  ...VIRTUAL,
  since: "6.17",
});
export const deviceCacheChecked = ioctlEnded(
  "device-cache",
  "a device's cache held what it should",
  "IOMMU_TEST_OP_DEV_CHECK_CACHE",
  0,
  VIRTUAL,
);
export const veventRead = moved(
  "vevent-read",
  "an event of a virtual IOMMU was read",
  ["read"],
  "vevent-queue",
  some,
  VIRTUAL,
);

export const pasidAttached = ioctlEnded(
  "pasid-attach",
  "a PASID was attached",
  "IOMMU_TEST_OP_PASID_ATTACH",
  0,
  PASIDS,
);
export const pasidUnsuited = ioctlEnded(
  "pasid-unsuited",
  "a PASID was refused for what it, or its device, would be or is attached to",
  "IOMMU_TEST_OP_PASID_ATTACH",
  "EINVAL",
  PASIDS,
);
export const pasidMoved = ioctlEnded(
  "pasid-move",
  "a PASID moved to another page table",
  "IOMMU_TEST_OP_PASID_REPLACE",
  0,
  PASIDS,
);
export const pasidDetached = ioctlEnded(
  "pasid-detach",
  "a PASID was detached",
  "IOMMU_TEST_OP_PASID_DETACH",
  0,
  PASIDS,
);
export const pasidChecked = ioctlEnded(
  "pasid-check",
  "a PASID was attached to what was asked for",
  "IOMMU_TEST_OP_PASID_CHECK_HWPT",
  0,
  PASIDS,
);
