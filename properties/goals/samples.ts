/** Goals about the sample devices: their migration, regions, interrupts and picture. */
import { ioctlEnded, moved, some } from "./ended.ts";
import { MDEV, MIGRATION } from "./needs.ts";

const SET_STATE = "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE";

export const stateChanged = ioctlEnded("mig-state", "a device was put into a migration state", SET_STATE, 0, MIGRATION);
export const stateRefused = ioctlEnded(
  "mig-state-refused",
  "a device could not be put into a migration state",
  SET_STATE,
  "EINVAL",
  MIGRATION,
);
export const precopyInfo = ioctlEnded(
  "precopy-info",
  "a session told what is left of it",
  "VFIO_MIG_GET_PRECOPY_INFO",
  0,
  MIGRATION,
);
export const loggingStarted = ioctlEnded(
  "dma-logging",
  "logging was started",
  "VFIO_DEVICE_FEATURE_DMA_LOGGING_START",
  0,
  MIGRATION,
);
export const deviceReset = ioctlEnded("device-reset", "a device was reset", "VFIO_DEVICE_RESET", 0);
export const irqsSet = ioctlEnded(
  "set-irqs",
  "an interrupt was set, masked or raised",
  "VFIO_DEVICE_SET_IRQS",
  0,
  MIGRATION,
);
export const planeQueried = ioctlEnded(
  "gfx-plane",
  "a display told what it shows",
  "VFIO_DEVICE_QUERY_GFX_PLANE",
  0,
  MDEV,
);
export const regionRead = moved("region-read", "a device's region was read", ["read", "pread"], "device", some);
export const regionWritten = moved(
  "region-write",
  "a device's region was written",
  ["write", "pwrite"],
  "device",
  some,
);
export const regionMapped = moved("region-map", "a device's region was mapped", ["mmap"], "device", some);
export const eventRead = moved("event-read", "an interrupt was counted", ["read"], "eventfd", some, MIGRATION);
export const streamRead = moved("stream-read", "a session was read", ["read"], "migration", some, MIGRATION);
export const streamWritten = moved("stream-write", "a session was written", ["write"], "migration", some, MIGRATION);
export const streamRefused = moved(
  "stream-refused",
  "a session took no more",
  ["write"],
  "migration",
  (ret) => ret < 0,
  MIGRATION,
);
