/** What kernel and machine must have for goals to be reached. */
import type { Goal } from "../coverage.ts";

/** None is needed unless told. */
export type Needs = NonNullable<Goal["needs"]>;

export const IOMMUFD = { since: "6.2", kconfig: ["IOMMUFD"] } as const;
export const MAP_FILE = { ...IOMMUFD, since: "6.13" } as const;
export const MOCK = { since: "6.2", kconfig: ["IOMMUFD_TEST"] } as const;
export const CDEV = { since: "6.6", kconfig: ["VFIO_DEVICE_CDEV"] } as const;
/** Page tables that user space asks for. */
export const HWPT = { since: "6.7", kconfig: ["VFIO_DEVICE_CDEV"] } as const;
/** The same of mocks. */
export const TABLES = { since: "6.8", kconfig: ["IOMMUFD", "IOMMUFD_TEST"] } as const;
export const FAULTING = { ...TABLES, since: "6.11" } as const;
/** PASIDs of mocks. */
export const PASIDS = { ...TABLES, since: "6.15" } as const;
/** Virtual IOMMUs of mocks. */
export const VIRTUAL = { ...TABLES, since: "6.15" } as const;
export const GROUP = { kconfig: ["VFIO_GROUP"] } as const;
export const CONTAINER = { kconfig: ["VFIO_CONTAINER"] } as const;
/** Emulated devices have nothing pinned for them. */
export const PINNING = { ...CONTAINER, iommu: true } as const;
export const KVM = { kconfig: ["KVM"] } as const;
export const MDEV = { kconfig: ["VFIO_MDEV"] } as const;
export const MIGRATION = { since: "6.7", kconfig: ["VFIO_MDEV"] } as const;
