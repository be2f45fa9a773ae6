/** What every clause of iommufd has in common: since when it is there, and the option that brings it. */
export const IOMMUFD = { since: "6.2", kconfig: ["IOMMUFD"] } as const;

/** A clause's source in this folder's counterpart in the kernel. */
export const iommufdSource = (file: string, name: string): string => `drivers/iommu/iommufd/${file}.c:${name}`;
