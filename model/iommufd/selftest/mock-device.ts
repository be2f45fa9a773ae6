/** The mock of the kernel's selftests: a device behind an IOMMU that is made of software. Beside drivers/iommu/iommufd/selftest.c. */
import type { IommuDevice } from "../../iommu/device.ts";
import type { IommuGroup } from "../../iommu/group.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { versionNumber } from "../../uapi/version.ts";
import type { Viommu } from "../viommu.ts";

/** MOCK_FLAGS_DEVICE_*: what a mock is asked to be like. */
export const MOCK_FLAGS = { NO_DIRTY: 1, HUGE_IOVA: 2, PASID: 4 } as const;

/** MOCK_APERTURE_START */
export const MOCK_START = 1 << 24;
const APERTURE = { start: BigInt(MOCK_START), last: (1n << 31n) - 1n };
/** Half a page, so that it is seen whether anybody takes a page for the smallest unit. */
const IO_PAGE_SIZE = 2048n;
const HUGE_PAGE_SIZE = 512n * IO_PAGE_SIZE;
/** Generic page tables of AMD's format map runs of pages as one: every power of two up to 64 GiB. */
const GENERIC_PAGE_SIZES = (1n << 37n) - IO_PAGE_SIZE;
/** MOCK_DEV_CACHE_NUM and IOMMU_TEST_DEV_CACHE_DEFAULT */
const DEVICE_CACHE_ENTRIES = 4;
export const DEVICE_CACHE_DEFAULT = 0xba_ddad;
/** MOCK_PASID_WIDTH */
const PASID_WIDTH = 20;

/** The page tables of the generic library came, and with them pages of all sizes and no flag for large ones. */
export const GENERIC_TABLES_SINCE = versionNumber("6.19");
const PASID_SINCE = versionNumber("6.15");
const HUGE_IOVA_SINCE = versionNumber("6.8");
/** Mocks have a firmware node of their own, by which their IOMMU is found beside others: not in 6.12, and in 7.2. */
export const OWN_NODE_SINCE = "6.18";

/** struct mock_dev */
export class MockDevice implements IommuDevice {
  readonly iommuDriver = "mock";
  readonly cacheCoherent = true;
  readonly reservedRegions = [];
  readonly aperture = APERTURE;
  readonly group: IommuGroup;
  readonly flags: number;
  readonly pageSizes: bigint;
  /** What its own cache holds, until a virtual IOMMU has it invalidated. */
  readonly cache = new Uint32Array(DEVICE_CACHE_ENTRIES).fill(DEVICE_CACHE_DEFAULT);
  /** The virtual IOMMU of the page table that it is attached to, and what it is to that. */
  viommu: { readonly viommu: Viommu; readonly virtualId: bigint } | null = null;

  /** pasid_1024_fake_error: whether the next attach of that PASID fails. */
  failsPasid = false;

  constructor(k: Kernel, group: IommuGroup, flags: number) {
    this.group = group;
    this.flags = flags;
    this.pageSizes = pageSizesOf(k, flags);
  }

  get dirtyTracking(): boolean {
    return (this.flags & MOCK_FLAGS.NO_DIRTY) === 0;
  }

  get pasidBits(): number {
    return (this.flags & MOCK_FLAGS.PASID) === 0 ? 0 : PASID_WIDTH;
  }

  requireGroup(): IommuGroup {
    return this.group;
  }
}

/** Page sizes of the mock's page tables, one bit each. */
function pageSizesOf({ version }: Kernel, flags: number): bigint {
  if (version >= GENERIC_TABLES_SINCE) return GENERIC_PAGE_SIZES;
  return (flags & MOCK_FLAGS.HUGE_IOVA) === 0 ? IO_PAGE_SIZE : IO_PAGE_SIZE | HUGE_PAGE_SIZE;
}

/** The flags that a mock can be made with. */
export function knownFlags({ version }: Kernel): number {
  let known: number = MOCK_FLAGS.NO_DIRTY;
  if (version >= HUGE_IOVA_SINCE && version < GENERIC_TABLES_SINCE) known |= MOCK_FLAGS.HUGE_IOVA;
  if (version >= PASID_SINCE) known |= MOCK_FLAGS.PASID;
  return known;
}

/**
 * Whether the mock's IOMMU gets to see its devices. Before it had a firmware node the driver of the machine's own IOMMU was
 * asked in its place, which knows nothing of them.
 */
export function hasMockIommu({ version, topology }: Kernel): boolean {
  return !topology.iommu || version >= versionNumber(OWN_NODE_SINCE);
}
