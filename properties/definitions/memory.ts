/** The property about running out of memory. */
import { NO_RESETS, property } from "../define.ts";
import { functions, mdevs } from "../devices.ts";
import { SPACE_MOTIFS } from "../generate/iommufd-motifs.ts";
import { KVM_MOTIFS } from "../generate/kvm-motifs.ts";
import { MOTIFS } from "../generate/motifs.ts";
import { TYPE1_MOTIFS } from "../generate/type1-motifs.ts";
import { MEMORY_GOALS } from "../goals/memory.ts";

export const allocationFailures = property({
  id: "allocation-failures",
  title: "calls that run out of memory are refused and leave nothing behind, whichever allocation fails",
  devices: (topology) => [...mdevs(topology), ...(topology.iommu ? functions(topology) : [])],
  failOneIn: 3,
  motifs: [...MOTIFS, ...KVM_MOTIFS, ...TYPE1_MOTIFS, ...Array.from({ length: 8 }, () => SPACE_MOTIFS).flat()],
  weights: { mdev: 2, binding: 1, credentials: 1 },
  ioctls: {
    ...NO_RESETS,
    // It stops on its way: where, nobody can say beforehand.
    VFIO_DEVICE_FEATURE: 0,
    VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE: 0,
    // So do vectors; and what the kernel's core of interrupts does without shows in its log only.
    VFIO_DEVICE_SET_IRQS: 0,
    VFIO_GROUP_SET_CONTAINER: 3,
    VFIO_IOMMU_MAP_DMA: 4,
    KVM_SET_DEVICE_ATTR: 4,
  },
  share: 3,
  goals: MEMORY_GOALS,
});
