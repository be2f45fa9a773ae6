/** Properties about what lies behind the regions of functions. */
import { copiesMemory, isHardwareKnown } from "../../model/pci/hardware.ts";
import type { Topology } from "../../model/topology.ts";
import { FEW_OBJECTS, property } from "../define.ts";
import { functions } from "../devices.ts";
import { times } from "../generate/dice.ts";
import { DMA_MOTIFS } from "../generate/dma-motifs.ts";
import { REGION_MOTIFS } from "../generate/region-motifs.ts";
import { DMA_GOALS } from "../goals/dma.ts";
import { REGION_GOALS } from "../goals/regions.ts";

/** Functions of which the suite knows the hardware. */
const knownHardware = ({ functions }: Topology): string[] => functions.filter(isHardwareKnown).map(({ name }) => name);

export const functionRegions = property({
  id: "function-regions",
  functionsBehind: "iommu",
  title:
    "what is behind the regions of functions: BARs, mapped or not, eventfds that write to them, and the interrupts that functions raise by themselves",
  devices(topology) {
    const known = knownHardware(topology);
    return known.length === 0 ? [] : [...known.flatMap((name) => times(8, name)), ...functions(topology)];
  },
  kvm: false,
  weights: { open: 2, io: 44, mdev: 0, close: 2, dup: 1, probe: 0, ioctl: 10 },
  motifs: REGION_MOTIFS,
  alwaysOpens: true,
  ioctls: {
    ...FEW_OBJECTS,
    VFIO_DEVICE_SET_IRQS: 12,
    VFIO_DEVICE_IOEVENTFD: 8,
    VFIO_DEVICE_RESET: 1,
    VFIO_DEVICE_PCI_HOT_RESET: 0.5,
    VFIO_DEVICE_FEATURE: 0.2,
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY: 0.3,
    VFIO_DEVICE_FEATURE_LOW_POWER_EXIT: 1,
    VFIO_GROUP_GET_DEVICE_FD: 2,
  },
  otherIoctls: 0.3,
  share: 1,
  goals: REGION_GOALS,
});

export const eduDma = property({
  id: "edu-dma",
  functionsBehind: "iommu",
  title:
    "memory that a device reads and writes by itself is what is mapped for it, with the access that it is mapped with",
  devices: ({ functions }) => functions.filter(copiesMemory).map(({ name }) => name),
  kvm: false,
  weights: { open: 2, io: 40, mdev: 0, close: 2, dup: 1, probe: 1, ioctl: 24 },
  motifs: DMA_MOTIFS,
  byOneIn: 12,
  alwaysOpens: true,
  copies: true,
  ioctls: {
    ...FEW_OBJECTS,
    IOMMU_IOAS_ALLOC: 1,
    IOMMU_IOAS_MAP: 8,
    IOMMU_IOAS_UNMAP: 5,
    IOMMU_IOAS_COPY: 2,
    VFIO_IOMMU_MAP_DMA: 8,
    VFIO_IOMMU_UNMAP_DMA: 5,
    VFIO_DEVICE_ATTACH_IOMMUFD_PT: 6,
    VFIO_DEVICE_DETACH_IOMMUFD_PT: 2,
    VFIO_DEVICE_SET_IRQS: 2,
    VFIO_GROUP_GET_DEVICE_FD: 2,
  },
  otherIoctls: 0.2,
  share: 1,
  goals: DMA_GOALS,
});
