/** What kernels must have for scenarios: the ways to a device. */

export const IOMMUFD = { since: "6.2", kconfig: ["IOMMUFD"] } as const;
/** The device's own node. */
export const CDEV = { since: "6.6", kconfig: ["VFIO_DEVICE_CDEV", "IOMMUFD"] } as const;
/** Group and container. */
export const LEGACY = { kconfig: ["VFIO_GROUP", "VFIO_CONTAINER"] } as const;
/** Group, and an iommufd in place of a container. */
export const COMPAT = { since: "6.2", kconfig: ["VFIO_GROUP", "IOMMUFD"] } as const;
