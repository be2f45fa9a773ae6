/** Properties about drivers: which functions they get, and the bus between the drivers of one adapter. */
import { NO_RESETS, property } from "../define.ts";
import { functions } from "../devices.ts";
import { AUXILIARY_MOTIFS } from "../generate/auxiliary.ts";
import { DRIVER_ID_MOTIFS } from "../generate/driver-ids.ts";
import { AUXILIARY_GOALS, DRIVER_ID_GOALS } from "../goals/drivers.ts";

export const driverIds = property({
  id: "driver-ids",
  functionsBehind: "iommu",
  title: "ids of drivers come and go: which functions a driver gets by them, and who looks for drivers",
  motifs: DRIVER_ID_MOTIFS,
  devices: functions,
  weights: { "driver-ids": 24, binding: 4, probe: 6, mdev: 0, io: 0 },
  ioctls: NO_RESETS,
  kvm: false,
  share: 0.5,
  goals: DRIVER_ID_GOALS,
});

export const auxiliary = property({
  id: "auxiliary",
  functionsBehind: "managers",
  title:
    "functions that another's driver manages: their devices of the auxiliary bus, and two drivers for one function",
  motifs: AUXILIARY_MOTIFS,
  devices: ({ managed }) => managed.map((each) => each.function),
  weights: { auxiliary: 30, probe: 4, mdev: 0, io: 0 },
  ioctls: NO_RESETS,
  kvm: false,
  share: 0.5,
  goals: AUXILIARY_GOALS,
});
