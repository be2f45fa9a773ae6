/** Properties about what functions themselves show to their users. */
import { FEW_OBJECTS, property } from "../define.ts";
import { functions } from "../devices.ts";
import { REGISTER_MOTIFS } from "../generate/function-motifs.ts";
import { POWER_MOTIFS } from "../generate/power-motifs.ts";
import { POWER_GOALS } from "../goals/power.ts";
import { deviceReset, regionRead, regionWritten } from "../goals/samples.ts";

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
