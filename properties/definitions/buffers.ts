/** The property about buffers of functions' memory. */
import { FEW_OBJECTS, property } from "../define.ts";
import { functions } from "../devices.ts";
import { BUFFER_MOTIFS } from "../generate/buffer-motifs.ts";
import { BUFFER_GOALS } from "../goals/buffers.ts";

export const dmaBuffers = property({
  id: "dma-buffers",
  functionsBehind: "iommu",
  since: "6.19",
  needs: ["VFIO_PCI_DMABUF"],
  title:
    "buffers of functions' memory: made, mapped for devices, taken back, lent again, and left behind by their function",
  devices: functions,
  kvm: false,
  weights: { open: 4, io: 14, mdev: 0, close: 4, dup: 1, probe: 3, ioctl: 26 },
  motifs: BUFFER_MOTIFS,
  alwaysOpens: true,
  ioctls: {
    ...FEW_OBJECTS,
    VFIO_DEVICE_FEATURE_DMA_BUF: 8,
    DMA_BUF_IOCTL_SYNC: 1,
    DMA_BUF_SET_NAME_B: 0.5,
    IOMMU_IOAS_MAP_FILE: 8,
    IOMMU_IOAS_COPY: 2,
    IOMMU_IOAS_UNMAP: 2,
    IOMMU_IOAS_ALLOC: 0.5,
    IOMMU_TEST_OP_DMABUF_GET: 0.1,
    IOMMU_TEST_OP_DMABUF_REVOKE: 0.3,
    VFIO_DEVICE_ATTACH_IOMMUFD_PT: 3,
    VFIO_DEVICE_DETACH_IOMMUFD_PT: 1,
    VFIO_DEVICE_BIND_IOMMUFD: 2,
    VFIO_GROUP_GET_DEVICE_FD: 2,
    VFIO_DEVICE_RESET: 1,
    VFIO_DEVICE_PCI_HOT_RESET: 1,
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY: 1,
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP: 1,
    VFIO_DEVICE_FEATURE_LOW_POWER_EXIT: 1,
  },
  otherIoctls: 0.1,
  share: 1,
  goals: BUFFER_GOALS,
});
