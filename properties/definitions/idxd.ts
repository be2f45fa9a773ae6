/** Properties about mediated devices of idxd, on the machine that only the model has. */
import { FEW_OBJECTS, property } from "../define.ts";
import { virtualDsas } from "../devices.ts";
import { IDXD_MOTIFS } from "../generate/idxd-motifs.ts";
import {
  completionSeen,
  descriptorRefused,
  descriptorSubmitted,
  guestPasidAttached,
  portalMapped,
  portalRefused,
  queueGiven,
  queueKept,
  queueTaken,
  vectorsSet,
  writesLogged,
} from "../goals/idxd.ts";
import { mdevCreated, mdevRemoved } from "../goals/mdevs.ts";

export const idxdGuests = property({
  id: "idxd-guests",
  title: "work queues of idxd and their owners: what a guest sees of its own, may set, submits, and is told",
  devices: virtualDsas,
  kvm: false,
  weights: { open: 4, io: 44, mdev: 5, binding: 5, close: 3, dup: 1, probe: 1, ioctl: 14 },
  motifs: IDXD_MOTIFS,
  alwaysOpens: true,
  otherIoctls: 0.1,
  ioctls: {
    ...FEW_OBJECTS,
    IOMMU_IOAS_MAP: 1,
    IOMMU_IOAS_UNMAP: 2,
    VFIO_IOMMU_MAP_DMA: 1,
    VFIO_IOMMU_UNMAP_DMA: 2,
    VFIO_DEVICE_GET_INFO: 0.3,
    VFIO_DEVICE_GET_REGION_INFO: 1,
    VFIO_DEVICE_GET_IRQ_INFO: 0.5,
    VFIO_DEVICE_SET_IRQS: 5,
    VFIO_DEVICE_RESET: 1,
    VFIO_DEVICE_ATTACH_IOMMUFD_PT: 3,
    VFIO_DEVICE_DETACH_IOMMUFD_PT: 1,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_START: 1,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP: 0.3,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: 4,
  },
  share: 1,
  goals: [
    mdevCreated,
    mdevRemoved,
    descriptorSubmitted,
    descriptorRefused,
    portalMapped,
    portalRefused,
    vectorsSet,
    completionSeen,
    writesLogged,
    guestPasidAttached,
    queueGiven,
    queueTaken,
    queueKept,
  ],
});
