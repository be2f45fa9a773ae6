/**
 * A device as the IOMMU layer and iommufd see it, whatever bus it is on: struct device with its struct dev_iommu, and what
 * its IOMMU's driver says of it. A PCI function is one, and so is a mock of the kernel's selftests.
 */
import type { ReservedRegion } from "../topology.ts";
import type { IommuGroup } from "./group.ts";

/** Whose page tables a device takes: those of the machine's IOMMU, or of the mock. */
export type IommuDriver = "hardware" | "mock";

export interface IommuDevice {
  readonly iommuDriver: IommuDriver;
  /** Whether an IOMMU is in front of it that keeps DMA coherent with the caches: IOMMU_CAP_CACHE_COHERENCY. */
  readonly cacheCoherent: boolean;
  /** Whether page tables that it is attached to can tell what was written: IOMMU_CAP_DIRTY_TRACKING. */
  readonly dirtyTracking: boolean;
  /** Bits of a PASID that it can use; 0 where it has none. */
  readonly pasidBits: number;
  /** Addresses that may not be mapped for it. */
  readonly reservedRegions: readonly ReservedRegion[];
  /** Addresses that its IOMMU's page tables translate; everything else is out of reach. */
  readonly aperture: ReservedRegion;
  /** Page sizes that they map, one bit each. */
  readonly pageSizes: bigint;
  /** Its group, where the caller knows that there is one. */
  requireGroup(): IommuGroup;
}
