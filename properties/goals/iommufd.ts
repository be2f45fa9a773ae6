/** Goals about I/O address spaces and what is mapped in them. */
import { ioctlByOther, ioctlEnded } from "./ended.ts";
import { IOMMUFD, MAP_FILE } from "./needs.ts";

export const mapped = ioctlEnded("map", "memory was mapped into an IOAS", "IOMMU_IOAS_MAP", 0, IOMMUFD);
export const unmapped = ioctlEnded("unmap", "a mapping was removed", "IOMMU_IOAS_UNMAP", 0, IOMMUFD);
export const mapLimit = ioctlEnded(
  "map-limit",
  "a mapping was refused because the caller may lock no more memory",
  "IOMMU_IOAS_MAP",
  "ENOMEM",
  { ...IOMMUFD, iommu: true },
);
export const mapNoRoom = ioctlEnded(
  "map-no-room",
  "a mapping was refused because the kernel had no place for it",
  "IOMMU_IOAS_MAP",
  "ENOSPC",
  IOMMUFD,
);
export const fileMapped = ioctlEnded("map-file", "a memfd was mapped into an IOAS", "IOMMU_IOAS_MAP_FILE", 0, MAP_FILE);
export const changeProcess = ioctlEnded(
  "change-process",
  "what is pinned was taken over",
  "IOMMU_IOAS_CHANGE_PROCESS",
  0,
  { ...IOMMUFD, since: "6.14" },
);
export const takenOver = ioctlByOther(
  "taken-over",
  "what is pinned was taken over by another process than the program",
  "IOMMU_IOAS_CHANGE_PROCESS",
  { ...IOMMUFD, since: "6.14" },
);
export const mappedByOther = ioctlByOther(
  "map-by-other",
  "another process than the program mapped its memory into an IOAS",
  "IOMMU_IOAS_MAP",
  IOMMUFD,
);
export const copied = ioctlEnded("copy", "a mapping was copied", "IOMMU_IOAS_COPY", 0, IOMMUFD);
export const copyMissing = ioctlEnded(
  "copy-missing",
  "a copy was refused because not all of it is mapped",
  "IOMMU_IOAS_COPY",
  "ENOENT",
  IOMMUFD,
);
export const copyRights = ioctlEnded(
  "copy-rights",
  "what was mapped to be read was not copied to be written",
  "IOMMU_IOAS_COPY",
  "EPERM",
  IOMMUFD,
);
export const allowed = ioctlEnded("allow-iovas", "ranges were allowed", "IOMMU_IOAS_ALLOW_IOVAS", 0, IOMMUFD);
export const optionSet = ioctlEnded("option", "an option was set or told", "IOMMU_OPTION", 0, IOMMUFD);
export const optionBusy = ioctlEnded(
  "option-busy",
  "accounting could not be changed because there are objects",
  "IOMMU_OPTION",
  "EBUSY",
  IOMMUFD,
);
export const destroyBusy = ioctlEnded(
  "destroy-busy",
  "an object in use could not be destroyed",
  "IOMMU_DESTROY",
  "EBUSY",
  IOMMUFD,
);
