/** Properties about what functions themselves show to their users. */
import { FEW_OBJECTS, property } from "../define.ts";
import { functions, physicalAndVirtual } from "../devices.ts";
import { REGISTER_MOTIFS } from "../generate/function-motifs.ts";
import { POWER_MOTIFS } from "../generate/power-motifs.ts";
import { SRIOV_MOTIFS } from "../generate/sriov-motifs.ts";
import { POWER_GOALS } from "../goals/power.ts";
import { deviceReset, regionRead, regionWritten } from "../goals/samples.ts";
import { SRIOV_GOALS } from "../goals/sriov.ts";

export const configSpace = property({
  id: "config-space",
  functionsBehind: "iommu",
  title:
    "configuration space of functions: what is read there, what writing changes, and what resets and power states leave",
  devices: functions,
  kvm: false,
  weights: { open: 2, io: 40, mdev: 0, close: 2, dup: 1, probe: 0, ioctl: 5 },
  motifs: REGISTER_MOTIFS,
  alwaysOpens: true,
  ioctls: {
    ...FEW_OBJECTS,
    VFIO_DEVICE_RESET: 4,
    VFIO_DEVICE_PCI_HOT_RESET: 4,
    VFIO_DEVICE_FEATURE: 0.5,
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY: 1,
    VFIO_DEVICE_FEATURE_LOW_POWER_EXIT: 1,
    VFIO_GROUP_GET_DEVICE_FD: 4,
  },
  share: 1,
  goals: [regionRead, regionWritten, deviceReset],
});

export const lowPower = property({
  id: "low-power",
  functionsBehind: "iommu",
  title: "functions that may sleep: when they do, what wakes them up, who is told, and what is left of it",
  devices: functions,
  kvm: false,
  weights: { open: 4, io: 12, mdev: 0, close: 3, dup: 1, probe: 12, ioctl: 14 },
  motifs: POWER_MOTIFS,
  alwaysOpens: true,
  ioctls: {
    ...FEW_OBJECTS,
    VFIO_DEVICE_RESET: 0.3,
    VFIO_DEVICE_PCI_HOT_RESET: 0.5,
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY: 2,
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP: 4,
    VFIO_DEVICE_FEATURE_LOW_POWER_EXIT: 1,
    VFIO_GROUP_GET_DEVICE_FD: 3,
  },
  share: 0.5,
  goals: POWER_GOALS,
});

export const sriov = property({
  id: "sr-iov",
  functionsBehind: "iommu",
  needsVirtual: true,
  title: "virtual functions: made and ended by sysfs, used by who has the token of their physical one",
  devices: physicalAndVirtual,
  kvm: false,
  weights: { open: 8, io: 6, mdev: 0, binding: 6, close: 5, dup: 1, probe: 3, ioctl: 18 },
  motifs: SRIOV_MOTIFS,
  alwaysOpens: true,
  ioctls: {
    ...FEW_OBJECTS,
    VFIO_DEVICE_RESET: 0.3,
    VFIO_DEVICE_PCI_HOT_RESET: 0.5,
    VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: 1,
    VFIO_DEVICE_FEATURE_PCI_VF_TOKEN: 1.5,
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY: 0.3,
    VFIO_GROUP_GET_DEVICE_FD: 5,
    VFIO_DEVICE_BIND_IOMMUFD: 4,
  },
  share: 0.5,
  goals: SRIOV_GOALS,
});
