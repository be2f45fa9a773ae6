/** VFIO_DEVICE_FEATURE: the header that all features share, and who answers which. Beside drivers/vfio/vfio_main.c. */
import { clauses } from "../kernel/clause.ts";
import { type Argument, type Ioctl, ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { type FieldSpec, field, layout } from "../uapi/layout.ts";
import type { Version } from "../uapi/version.ts";
import type { DeviceFile, VfioDevice } from "./device.ts";

const header = "include/uapi/linux/vfio.h:VFIO_DEVICE_FEATURE";
const source = (name: string) => `drivers/vfio/vfio_main.c:${name}`;
const check = "include/linux/vfio.h:vfio_check_feature";

export const rule = clauses({
  "VFIO-FEATURE-1": {
    rule: "the struct must be readable up to flags",
    errno: "EFAULT",
    source: source("vfio_ioctl_device_feature"),
  },
  "VFIO-FEATURE-2": { rule: "argsz must cover flags", errno: "EINVAL", source: source("vfio_ioctl_device_feature") },
  "VFIO-FEATURE-3": { rule: "unknown flags are refused", errno: "EINVAL", source: source("vfio_ioctl_device_feature") },
  "VFIO-FEATURE-4": { rule: "GET and SET exclude each other, but for a probe", errno: "EINVAL", source: header },
  "VFIO-FEATURE-5": {
    rule: "a feature that nobody knows, or that the device has not, is refused, whatever is to be done with it",
    errno: "ENOTTY",
    source: source("vfio_ioctl_device_feature"),
  },
  "VFIO-FEATURE-6": {
    rule: "a feature can't be got, or set, that has no such method: a probe is refused as well",
    errno: "EINVAL",
    source: header,
  },
  "VFIO-FEATURE-7": { rule: "one of GET, SET and PROBE must be there", errno: "EINVAL", source: check },
  "VFIO-FEATURE-8": { rule: "argsz must cover the feature's data, but for a probe", errno: "EINVAL", source: check },
  "VFIO-FEATURE-9": {
    rule: "a probe of a feature that the device has succeeds, with methods that it has or none, and touches no data",
    source: header,
  },
});

/** Bits of flags beside the feature's number. */
export const FEATURE = { MASK: 0xffff, GET: 1 << 16, SET: 1 << 17, PROBE: 1 << 18 } as const;
/** Bytes before the feature's data. */
export const FEATURE_HEADER = 8;

/** Numbers of features. */
export const FEATURE_INDEX = {
  PCI_VF_TOKEN: 0,
  MIGRATION: 1,
  MIG_DEVICE_STATE: 2,
  LOW_POWER_ENTRY: 3,
  LOW_POWER_ENTRY_WITH_WAKEUP: 4,
  LOW_POWER_EXIT: 5,
  DMA_LOGGING_START: 6,
  DMA_LOGGING_STOP: 7,
  DMA_LOGGING_REPORT: 8,
  MIG_DATA_SIZE: 9,
  BUS_MASTER: 10,
  DMA_BUF: 11,
  MIG_PRECOPY_INFOv2: 12,
} as const;

/** A feature that is asked for, its header checked. */
export interface FeatureRequest {
  readonly device: VfioDevice;
  readonly flags: number;
  /** Bytes that the caller has for data. */
  readonly dataSize: number;
  readonly block: UserBlock;
  readonly at: Argument["at"];
}

/** A feature that the core or a driver answers. */
export interface Feature {
  readonly index: number;
  readonly since?: Version;
  run(k: Kernel, request: FeatureRequest): Operation<number>;
}

/** Combinations of methods worth trying, those that the feature has first. */
function flagsFor(index: number, methods: number): number[] {
  const { GET, SET, PROBE } = FEATURE;
  const right = [SET, GET].filter((method) => methods & method);
  const all = [...right, PROBE, PROBE | methods, GET, SET, 0, GET | SET, PROBE | GET | SET];
  return [...right, ...all].map((combination) => combination | index);
}

/**
 * VFIO_DEVICE_FEATURE with one feature's data: a command of its own to those who make calls, the same number to the
 * kernel. It goes by the feature's name.
 */
export function featureIoctl(
  name: keyof typeof FEATURE_INDEX,
  methods: number,
  data: Readonly<Record<string, FieldSpec>>,
  more: Partial<Pick<Ioctl<DeviceFile>, "useful" | "since" | "returns">> = {},
): Ioctl<DeviceFile> {
  const struct = {
    argsz: field.argsz(),
    flags: field.value32(...flagsFor(FEATURE_INDEX[name], methods)),
    ...data,
  };
  return ioctl<DeviceFile>({
    name: `VFIO_DEVICE_FEATURE_${name}`,
    request: deviceFeature.request,
    argument: { kind: "struct", layout: layout(`vfio_device_feature_${name.toLowerCase()}`, struct) },
    on: ["device"],
    weight: 0.05,
    useful: (_k, file) => file.accessGranted,
    run: (k, file, arg) => k.feature.run(k, file, arg),
    ...more,
  });
}

/** The command alone, with numbers of features that are no one's, or need no data. */
export const deviceFeature: Ioctl<DeviceFile> = ioctl<DeviceFile>({
  name: "VFIO_DEVICE_FEATURE",
  request: vfioRequest(117),
  argument: {
    kind: "struct",
    layout: layout("vfio_device_feature", {
      argsz: field.argsz(),
      flags: field.value32(
        FEATURE.PROBE | FEATURE_INDEX.MIGRATION,
        ...[99, 0xffff, ...Object.values(FEATURE_INDEX)].flatMap((index) => [
          FEATURE.PROBE | index,
          FEATURE.SET | index,
          FEATURE.GET | index,
        ]),
      ),
    }),
  },
  on: ["device"],
  weight: 0.1,
  useful: (_k, file) => file.accessGranted,
  run: (k, file, arg) => k.feature.run(k, file, arg),
});
