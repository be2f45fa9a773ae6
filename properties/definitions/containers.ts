/** Properties about containers, and iommufds that are taken for one. */
import { NO_RESETS, property } from "../define.ts";
import { functions, standing } from "../devices.ts";
import { COMPAT_MOTIFS, TYPE1_MOTIFS } from "../generate/type1-motifs.ts";
import {
  dirtyLogged,
  dmaMapExists,
  dmaMapFault,
  dmaMapFull,
  dmaMapLimit,
  dmaMapped,
  dmaMappedByOther,
  dmaUnmapped,
  iommuInfo,
} from "../goals/type1.ts";
import { containerBackend, deviceThroughGroup } from "../goals/vfio.ts";

export const type1 = property({
  id: "type1",
  needs: ["VFIO_CONTAINER"],
  title: "containers: what is mapped, pinned, counted and logged while groups come and go",
  devices: (topology) => [...standing(topology), ...functions(topology)],
  weights: { mdev: 0, io: 1, dup: 1, open: 5, probe: 4, credentials: 3 },
  motifs: TYPE1_MOTIFS,
  byOneIn: 10,
  kvm: false,
  ioctls: {
    ...NO_RESETS,
    VFIO_IOMMU_MAP_DMA: 8,
    VFIO_IOMMU_UNMAP_DMA: 5,
    VFIO_IOMMU_GET_INFO: 2,
    VFIO_IOMMU_DIRTY_PAGES: 4,
    VFIO_GROUP_SET_CONTAINER: 4,
    VFIO_SET_IOMMU: 3,
    VFIO_CHECK_EXTENSION: 1,
  },
  share: 2,
  goals: [
    containerBackend,
    dmaMapped,
    dmaMappedByOther,
    dmaMapExists,
    dmaMapFull,
    dmaMapLimit,
    dmaMapFault,
    dmaUnmapped,
    iommuInfo,
    dirtyLogged,
  ],
});

export const iommufdCompat = property({
  id: "iommufd-compat",
  needs: ["IOMMUFD", "VFIO_GROUP"],
  title:
    "programs that take an iommufd for a container: what is mapped, cut and told, and what iommufd's commands see of it",
  devices: (topology) => [...standing(topology), ...functions(topology)],
  weights: { mdev: 0, io: 1, dup: 1, open: 5, probe: 4, credentials: 2 },
  motifs: COMPAT_MOTIFS,
  byOneIn: 12,
  kvm: false,
  ioctls: {
    ...NO_RESETS,
    VFIO_IOMMU_MAP_DMA: 8,
    VFIO_IOMMU_UNMAP_DMA: 8,
    VFIO_IOMMU_GET_INFO: 2,
    VFIO_GROUP_SET_CONTAINER: 4,
    VFIO_GROUP_GET_DEVICE_FD: 3,
    VFIO_SET_IOMMU: 2,
    IOMMU_VFIO_IOAS: 1,
    IOMMU_IOAS_UNMAP: 2,
  },
  share: 1,
  goals: [deviceThroughGroup, dmaMapped, dmaUnmapped, iommuInfo],
});
