/** Properties about mediated devices. */
import { FEW_OBJECTS, NO_RESETS, property } from "../define.ts";
import { cards, mdevs, standing } from "../devices.ts";
import { times } from "../generate/dice.ts";
import { crowd, orphan } from "../generate/mdevs.ts";
import { MIGRATION_MOTIFS, SAMPLE_MOTIFS } from "../generate/migration-motifs.ts";
import { MOTIFS } from "../generate/motifs.ts";
import { mdevCreated, mdevDuplicate, mdevFull, mdevNotBound, mdevRemoved, mdevUnbound } from "../goals/mdevs.ts";
import {
  deviceReset,
  eventRead,
  irqsSet,
  loggingStarted,
  planeQueried,
  precopyInfo,
  regionMapped,
  regionRead,
  regionWritten,
  stateChanged,
  stateRefused,
  streamRead,
  streamRefused,
  streamWritten,
} from "../goals/samples.ts";

export const mdevLifecycle = property({
  id: "mdev-lifecycle",
  title: "mediated devices are made, counted, unbound and removed, and what their types say of themselves",
  devices: mdevs,
  kvm: false,
  weights: { mdev: 30, open: 5, ioctl: 12, close: 5, dup: 1, io: 1, probe: 4 },
  ioctls: NO_RESETS,
  motifs: [...times(10, crowd), ...times(5, orphan), ...MOTIFS],
  length: 60,
  share: 0.5,
  goals: [mdevCreated, mdevRemoved, mdevDuplicate, mdevFull, mdevUnbound, mdevNotBound],
});

export const migration = property({
  id: "migration",
  title: "states of a device and their sessions: what is saved, what is resumed, and what ends a session",
  devices: cards,
  kvm: false,
  weights: { open: 4, io: 16, mdev: 0, close: 4, dup: 1, probe: 0 },
  motifs: MIGRATION_MOTIFS,
  ioctls: {
    ...FEW_OBJECTS,
    VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE: 16,
    VFIO_DEVICE_FEATURE: 0.3,
    VFIO_DEVICE_FEATURE_MIGRATION: 0.5,
    VFIO_DEVICE_FEATURE_MIG_DATA_SIZE: 1,
    VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2: 0.5,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_START: 1,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP: 0.5,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: 0.5,
    VFIO_MIG_GET_PRECOPY_INFO: 3,
    VFIO_DEVICE_RESET: 1.5,
  },
  share: 0.5,
  goals: [
    stateChanged,
    stateRefused,
    streamRead,
    streamWritten,
    streamRefused,
    precopyInfo,
    deviceReset,
    loggingStarted,
  ],
});

export const sampleDevices = property({
  id: "sample-devices",
  title: "mtty and mdpy: their regions, interrupts and picture",
  devices: standing,
  kvm: false,
  weights: { open: 4, io: 30, mdev: 0, close: 2, dup: 1, probe: 0 },
  motifs: SAMPLE_MOTIFS,
  ioctls: {
    ...FEW_OBJECTS,
    VFIO_DEVICE_GET_INFO: 2,
    VFIO_DEVICE_GET_IRQ_INFO: 3,
    VFIO_DEVICE_SET_IRQS: 10,
    VFIO_DEVICE_QUERY_GFX_PLANE: 3,
    VFIO_DEVICE_RESET: 1,
  },
  share: 0.5,
  goals: [regionRead, regionWritten, irqsSet, eventRead, planeQueried, regionMapped],
});
