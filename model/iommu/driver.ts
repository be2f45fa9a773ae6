/**
 * What iommufd asks the driver of an IOMMU: struct iommu_ops, as far as an answer differs between drivers. The common rules
 * stand with iommufd's commands.
 */

import type { HwQueue } from "../iommufd/hw-queue.ts";
import type { Viommu } from "../iommufd/viommu.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import type { ReservedRegion } from "../topology.ts";
import type { IommuDevice } from "./device.ts";

/** struct iommu_user_data: what a caller hands to the driver, of a type that the driver has to know. */
export interface UserData {
  readonly type: number;
  readonly length: number;
  readonly block: UserBlock;
}

/** What a driver tells of its hardware. */
export interface HwInfo {
  /** enum iommu_hw_info_type, or a type of the selftests. */
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** Addresses that a page table translates, and the sizes of pages that it maps, one bit each. */
export interface TableShape {
  readonly aperture: ReservedRegion;
  readonly pageSizes: bigint;
}

/** struct iommu_user_data_array: requests for a driver, one after the other, and all of one type. */
export interface UserRequests {
  readonly type: number;
  readonly entryLength: number;
  readonly count: number;
  readonly block: UserBlock;
}

/** What a page table that user space manages holds for its driver. */
export interface NestedTable {
  /** A number that tells this content from others. */
  trace(): number;
  /** cache_invalidate_user: calls back after every request that it has carried out, and refuses at the first that it can't. */
  invalidate(requests: UserRequests, handled: () => void): void;
}

/** What a virtual IOMMU is to its driver. */
export interface DriverViommu {
  /** A number that tells this state from others. */
  trace(): number;
  /** cache_invalidate: calls back after every request that it has carried out, and refuses at the first that it can't. */
  invalidate(requests: UserRequests, handled: () => void): void;
  /** Queues that its hardware works on by itself; null where it has none. */
  readonly hwQueues: DriverHwQueues | null;
  /** Nobody uses the virtual IOMMU any more. */
  destroy(): void;
}

/** hw_queue_init_phys and what undoes it, for the type of queue that a virtual IOMMU has. */
export interface DriverHwQueues {
  readonly type: number;
  /** Refuses what it can't take into use. */
  init(k: Kernel, queue: HwQueue): void;
  destroy(k: Kernel, queue: HwQueue): void;
}

/** What of a page table decides whether a device can be attached to it. */
export interface AttachableTable {
  readonly kind: "hwpt" | "nested";
  readonly paging: {
    readonly aperture: ReservedRegion;
    readonly enforceCacheCoherency: boolean;
    readonly dirty: object | null;
  };
}

export interface IommuOps {
  /** attach_dev: whether the table, which is of the same driver, suits the device. */
  suits(device: IommuDevice, table: AttachableTable): boolean;
  /** IOMMU_CAP_ENFORCE_CACHE_COHERENCY */
  enforcesCacheCoherency(k: Kernel): boolean;
  /** hw_info */
  hwInfo(k: Kernel): HwInfo;
  /** Whether a page fault of the device can wait for an answer. */
  readonly answersFaults: boolean;
  /** domain_alloc_paging_flags, by IOMMU_HWPT_ALLOC_*: refuses what it can't do; the shape of the table that it makes. */
  allocPaging(k: Kernel, device: IommuDevice, flags: number, data: UserData | null): TableShape;
  /** viommu_init, and the type of virtual IOMMU that it is for; null where the driver makes none. */
  readonly viommu: {
    readonly type: number;
    init(k: Kernel, viommu: Viommu, data: UserData | null): DriverViommu;
  } | null;
  /** domain_alloc_nested */
  allocNested(k: Kernel, device: IommuDevice, data: UserData): NestedTable;
}
