/** Properties about functions with drivers of their own: one for each driver that is built on the library of vfio-pci. */
import type { FunctionTraits } from "../../model/pci/traits.ts";
import type { Version } from "../../model/uapi/version.ts";
import type { Goal } from "../coverage.ts";
import { FEW_OBJECTS, property } from "../define.ts";
import { variants } from "../devices.ts";
import { DRIVER_MOTIFS, LOGGING_MOTIFS, STREAM_MOTIFS } from "../generate/driver-motifs.ts";
import type { Motif } from "../generate/motifs.ts";
import {
  driverReset,
  featureMissing,
  informed,
  logged,
  mappingRefused,
  memoryMapped,
  regionTold,
  regionUnknown,
  registersRead,
  registersWritten,
  reported,
  runningTold,
  sessionRead,
  sessionWritten,
  stateForbidden,
  stateReached,
  transferRefused,
} from "../goals/variant-drivers.ts";
import type { Property } from "../property.ts";

/** What every driver must have shown. */
const COMMON: readonly Goal[] = [
  informed,
  regionTold,
  regionUnknown,
  featureMissing,
  driverReset,
  registersRead,
  registersWritten,
  transferRefused,
];
const MIGRATED: readonly Goal[] = [stateReached, stateForbidden, sessionRead, sessionWritten];

const MIGRATION_IOCTLS = {
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE: 14,
  VFIO_DEVICE_FEATURE_MIGRATION: 0.5,
  VFIO_DEVICE_FEATURE_MIG_DATA_SIZE: 0.5,
  VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2: 0.5,
  VFIO_MIG_GET_PRECOPY_INFO: 3,
};
const LOGGING_IOCTLS = {
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START: 2,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP: 1,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: 2,
};

function driver(given: {
  readonly id: string;
  readonly title: string;
  readonly kind: FunctionTraits["kind"];
  readonly since?: Version;
  readonly motifs?: readonly Motif[];
  readonly ioctls?: Readonly<Record<string, number>>;
  readonly goals?: readonly Goal[];
  readonly io?: number;
}): Property {
  return property({
    id: given.id,
    title: given.title,
    devices: variants(given.kind),
    kvm: false,
    ...(given.since ? { since: given.since } : {}),
    weights: { open: 3, io: given.io ?? 24, mdev: 0, close: 3, dup: 1, probe: 1 },
    motifs: [...DRIVER_MOTIFS, ...(given.motifs ?? [])],
    alwaysOpens: true,
    ioctls: {
      ...FEW_OBJECTS,
      VFIO_DEVICE_GET_INFO: 1,
      VFIO_DEVICE_GET_REGION_INFO: 3,
      VFIO_DEVICE_GET_IRQ_INFO: 0.5,
      VFIO_DEVICE_SET_IRQS: 1,
      VFIO_DEVICE_FEATURE: 1,
      VFIO_DEVICE_RESET: 2,
      ...given.ioctls,
    },
    length: 60,
    share: 0.5,
    goals: [...COMMON, ...(given.goals ?? [])],
  });
}

export const DRIVER_PROPERTIES: readonly Property[] = [
  driver({
    id: "driver-mlx5",
    title: "mlx5-vfio-pci: states and their streams of records, and what is logged",
    kind: "mlx5",
    motifs: [...STREAM_MOTIFS, ...LOGGING_MOTIFS],
    ioctls: { ...MIGRATION_IOCTLS, ...LOGGING_IOCTLS },
    goals: [...MIGRATED, runningTold, logged, reported],
  }),
  driver({
    id: "driver-hisi-acc",
    title: "hisi-acc-vfio-pci: a BAR of which a user has half, and streams that tell what device they are of",
    kind: "hisi-acc",
    motifs: STREAM_MOTIFS,
    ioctls: MIGRATION_IOCTLS,
    goals: [...MIGRATED, runningTold, mappingRefused],
  }),
  driver({
    id: "driver-pds",
    title: "pds-vfio-pci: the state of a stopped device, and what is logged",
    kind: "pds",
    since: "6.6",
    motifs: [...STREAM_MOTIFS, ...LOGGING_MOTIFS],
    ioctls: { ...MIGRATION_IOCTLS, ...LOGGING_IOCTLS },
    goals: [...MIGRATED, logged, reported],
  }),
  driver({
    id: "driver-virtio",
    title:
      "virtio-vfio-pci: a transitional card's registers in a BAR that there is not, and parts of the device as records",
    kind: "virtio",
    since: "6.8",
    motifs: STREAM_MOTIFS,
    ioctls: MIGRATION_IOCTLS,
    goals: MIGRATED.map((goal) => ({ ...goal, needs: { since: "6.13" } })),
  }),
  driver({
    id: "driver-nvgrace-gpu",
    title: "nvgrace-gpu-vfio-pci: memory that looks like BARs",
    kind: "nvgrace-gpu",
    since: "6.9",
    io: 40,
    goals: [memoryMapped, mappingRefused],
  }),
  driver({
    id: "driver-qat",
    title: "qat_vfio_pci: a state that begins with the setup that another device must have",
    kind: "qat",
    since: "6.10",
    motifs: STREAM_MOTIFS,
    ioctls: MIGRATION_IOCTLS,
    goals: [...MIGRATED, runningTold],
  }),
  driver({
    id: "driver-xe",
    title: "xe-vfio-pci: the state of a stopped device, which its physical function takes apart",
    kind: "xe",
    since: "6.19",
    motifs: STREAM_MOTIFS,
    ioctls: MIGRATION_IOCTLS,
    goals: MIGRATED,
  }),
  driver({
    id: "driver-igd",
    title: "Intel graphics: what firmware and bridges have for its driver, as regions",
    kind: "igd",
    io: 36,
  }),
  driver({
    id: "driver-zpci",
    title: "functions of IBM Z: what millicode tells of them, as capabilities",
    kind: "zpci",
    ioctls: { VFIO_DEVICE_GET_INFO: 8 },
  }),
];
