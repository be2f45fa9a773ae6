/** Properties about what lies behind the regions of functions. */
import { hardwareOf } from "../../model/pci/hardware.ts";
import { FEW_OBJECTS, property } from "../define.ts";
import { functions } from "../devices.ts";
import { times } from "../generate/dice.ts";
import { REGION_MOTIFS } from "../generate/region-motifs.ts";
import { REGION_GOALS } from "../goals/regions.ts";

export const functionRegions = property({
  id: "function-regions",
  functionsBehind: "iommu",
  title:
    "what is behind the regions of functions: BARs, mapped or not, eventfds that write to them, and the interrupts that functions raise by themselves",
  devices(topology) {
    const known = topology.functions.filter((spec) => hardwareOf(spec) !== null).map(({ name }) => name);
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
