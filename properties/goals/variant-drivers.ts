/** Goals about functions with drivers of their own. */
import { ioctlEnded, moved, some } from "./ended.ts";

const SET_STATE = "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE";
const anywhere = {};

export const informed = ioctlEnded("device-info", "a device told what it has", "VFIO_DEVICE_GET_INFO", 0);
export const regionTold = ioctlEnded("region-info", "a region was told of", "VFIO_DEVICE_GET_REGION_INFO", 0);
export const regionUnknown = ioctlEnded(
  "region-info-refused",
  "a region was asked for that there is not",
  "VFIO_DEVICE_GET_REGION_INFO",
  "EINVAL",
);
export const featureMissing = ioctlEnded(
  "feature-missing",
  "a feature was asked for that the device has not",
  "VFIO_DEVICE_FEATURE",
  "ENOTTY",
);
export const driverReset = ioctlEnded("device-reset", "a device was reset", "VFIO_DEVICE_RESET", 0);
export const registersRead = moved(
  "region-read",
  "a device's region was read",
  ["read", "pread"],
  "device",
  some,
  anywhere,
);
export const registersWritten = moved(
  "region-write",
  "a device's region was written",
  ["write", "pwrite"],
  "device",
  some,
  anywhere,
);
export const transferRefused = moved(
  "region-refused",
  "a read or write of a device's region was refused",
  ["pread", "pwrite"],
  "device",
  (ret) => ret < 0,
  anywhere,
);
export const memoryMapped = moved("region-map", "a device's region was mapped", ["mmap"], "device", some, anywhere);
export const mappingRefused = moved(
  "region-map-refused",
  "a mapping of a device's region was refused",
  ["mmap"],
  "device",
  (ret) => ret < 0,
  anywhere,
);

export const stateReached = ioctlEnded("mig-state", "a device was put into a migration state", SET_STATE, 0);
export const stateForbidden = ioctlEnded(
  "mig-state-refused",
  "a device could not be put into a migration state",
  SET_STATE,
  "EINVAL",
);
export const sessionRead = moved("stream-read", "a session was read", ["read"], "migration", some, anywhere);
export const sessionWritten = moved("stream-write", "a session was written", ["write"], "migration", some, anywhere);
export const runningTold = ioctlEnded(
  "precopy-info",
  "a session told what is left of it",
  "VFIO_MIG_GET_PRECOPY_INFO",
  0,
  { since: "6.2" },
);
export const logged = ioctlEnded("dma-logging", "logging was started", "VFIO_DEVICE_FEATURE_DMA_LOGGING_START", 0);
export const reported = ioctlEnded(
  "dma-logging-report",
  "a log was reported",
  "VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT",
  0,
);
