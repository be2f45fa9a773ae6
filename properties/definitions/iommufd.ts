/** Properties about the objects of an iommufd. */
import { NO_RESETS, property } from "../define.ts";
import { functions, standing } from "../devices.ts";
import { SPACE_MOTIFS } from "../generate/iommufd-motifs.ts";
import { TABLE_MOTIFS } from "../generate/table-motifs.ts";
import {
  allowed,
  changeProcess,
  copied,
  copyMissing,
  copyRights,
  destroyBusy,
  fileMapped,
  mapLimit,
  mapNoRoom,
  mapped,
  optionBusy,
  optionSet,
  unmapped,
} from "../goals/iommufd.ts";
import { informed, queueMade, tableMade, tableRefused } from "../goals/page-tables.ts";
import { attached } from "../goals/vfio.ts";

export const iommufdObjects = property({
  id: "iommufd-objects",
  memfds: true,
  title: "IOAS, mappings and attachments: ids, ranges and lifetimes",
  devices: standing,
  kvm: false,
  weights: { mdev: 0, open: 6 },
  ioctls: {
    ...NO_RESETS,
    IOMMU_IOAS_MAP: 5,
    IOMMU_IOAS_MAP_FILE: 2,
    IOMMU_IOAS_COPY: 3,
    IOMMU_IOAS_UNMAP: 3,
    IOMMU_DESTROY: 1.5,
    IOMMU_IOAS_ALLOC: 2,
    IOMMU_OPTION: 1.5,
  },
  share: 3,
  goals: [
    mapped,
    fileMapped,
    changeProcess,
    copied,
    copyMissing,
    copyRights,
    unmapped,
    allowed,
    optionSet,
    optionBusy,
    destroyBusy,
  ],
});

export const pageTables = property({
  id: "page-tables",
  functionsBehind: "iommu",
  needs: ["VFIO_DEVICE_CDEV"],
  title: "page tables that user space asks for: what they are made from, and what is attached to them",
  devices: functions,
  kvm: false,
  weights: { mdev: 0, open: 3, io: 3 },
  motifs: TABLE_MOTIFS,
  ioctls: {
    ...NO_RESETS,
    IOMMU_HWPT_ALLOC: 8,
    IOMMU_GET_HW_INFO: 2,
    IOMMU_FAULT_QUEUE_ALLOC: 1,
    IOMMU_DESTROY: 3,
    IOMMU_IOAS_MAP: 3,
    VFIO_DEVICE_ATTACH_IOMMUFD_PT: 6,
    VFIO_DEVICE_DETACH_IOMMUFD_PT: 2,
  },
  share: 1,
  goals: [tableMade, tableRefused, informed, queueMade, attached, destroyBusy],
});

export const iommufdAreas = property({
  id: "iommufd-areas",
  memfds: true,
  needs: ["IOMMUFD"],
  title: "long programs with many mappings: what lies where, and what is pinned and counted for it",
  devices: (topology) => [...standing(topology).slice(0, 1), ...(topology.iommu ? functions(topology) : [])],
  kvm: false,
  weights: { mdev: 0, open: 1, ioctl: 60, close: 0, dup: 0, io: 0, probe: 3, credentials: 1 },
  motifs: SPACE_MOTIFS,
  alwaysOpens: true,
  ioctls: {
    IOMMU_IOAS_MAP: 10,
    IOMMU_IOAS_MAP_FILE: 2,
    IOMMU_IOAS_CHANGE_PROCESS: 0.3,
    IOMMU_IOAS_COPY: 4,
    IOMMU_IOAS_UNMAP: 1.5,
    IOMMU_IOAS_IOVA_RANGES: 0.5,
    IOMMU_IOAS_ALLOW_IOVAS: 0.1,
    IOMMU_IOAS_ALLOC: 0.1,
    IOMMU_DESTROY: 0.1,
    IOMMU_OPTION: 0.2,
    VFIO_DEVICE_BIND_IOMMUFD: 0.2,
    VFIO_DEVICE_ATTACH_IOMMUFD_PT: 0.4,
    VFIO_DEVICE_DETACH_IOMMUFD_PT: 0.2,
    IOMMU_TEST_OP_MOCK_DOMAIN: 0.1,
    IOMMU_TEST_OP_MD_CHECK_MAP: 0.5,
  },
  otherIoctls: 0,
  wrongOneIn: 10,
  shortest: 200,
  length: 1000,
  share: 0.2,
  goals: [mapped, copied, unmapped, mapLimit, mapNoRoom],
});
