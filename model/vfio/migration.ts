/** Migration v2: the features by which a device is asked for its state and put into another. Beside drivers/vfio/vfio_main.c. */
import { type Clause, clauses, must, Refusal } from "../kernel/clause.ts";
import type { File } from "../kernel/file.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { field, writeValue } from "../uapi/layout.ts";
import type { DeviceFile, VfioDevice } from "./device.ts";
import { FEATURE, FEATURE_HEADER, FEATURE_INDEX, type Feature, featureIoctl, rule as featureRule } from "./feature.ts";
import { arcsOf, MIGRATION, type MigrationState, nextState, STATE } from "./migration-states.ts";

const header = (name: string) => `include/uapi/linux/vfio.h:${name}`;
const source = (name: string) => `drivers/vfio/vfio_main.c:${name}`;

/** No device of the machines that guests are migrated before mtty did; those of `variants` did since there is this API. */
const migrated = { since: "6.7" } as const;

export const rule = clauses({
  "VFIO-MIG-FLAGS-1": {
    ...migrated,
    rule: "the data must be writable",
    errno: "EFAULT",
    source: source("vfio_ioctl_device_feature_migration"),
  },
  "VFIO-MIG-FLAGS-2": {
    ...migrated,
    rule: "flags tell which states the device has",
    source: header("VFIO_DEVICE_FEATURE_MIGRATION"),
    observable: "output",
  },
  "VFIO-MIG-STATE-1": {
    ...migrated,
    rule: "the data must be readable, for GET too",
    errno: "EFAULT",
    source: source("vfio_ioctl_device_feature_mig_device_state"),
  },
  "VFIO-MIG-STATE-2": {
    ...migrated,
    rule: "GET brings the state that the device is in, and no descriptor",
    source: header("VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE"),
    observable: "output",
  },
  "VFIO-MIG-STATE-3": {
    ...migrated,
    rule: "a state that the device has not, ERROR, and a number that is none are refused, and data_fd brings -1",
    errno: "EINVAL",
    source: header("vfio_device_mig_state"),
  },
  "VFIO-MIG-STATE-4": {
    ...migrated,
    rule: "the data must be writable; the device may be in the new state, or in another one on the way, all the same",
    errno: "EFAULT",
    partial: true,
    source: header("VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE"),
  },
  "VFIO-MIG-STATE-5": {
    ...migrated,
    rule: "the device goes to the state by the arcs on the way; where that begins a session data_fd brings its descriptor, else -1",
    source: header("vfio_device_mig_state"),
    observable: "output",
  },
  "VFIO-MIG-STATE-6": {
    ...migrated,
    rule: "a device in STOP_COPY does not go back to PRE_COPY or PRE_COPY_P2P",
    errno: "EINVAL",
    source: header("vfio_device_mig_state"),
  },
  "VFIO-MIG-STATE-7": {
    ...migrated,
    rule: "the state that the device is in may be asked for: nothing changes, and a session goes on",
    source: source("vfio_ioctl_device_feature_mig_device_state"),
  },
  "VFIO-MIG-SIZE-1": {
    ...migrated,
    rule: "the data must be writable",
    errno: "EFAULT",
    source: source("vfio_ioctl_device_feature_migration_data_size"),
  },
  "VFIO-MIG-SIZE-2": {
    ...migrated,
    rule: "stop_copy_length brings what a copy of the stopped device may need, in every state",
    source: header("VFIO_DEVICE_FEATURE_MIG_DATA_SIZE"),
    observable: "output",
  },
  "VFIO-MIG-INFO2-1": {
    rule: "only a device that has PRE_COPY can be told of the second form of precopy info, or be asked",
    errno: "EINVAL",
    source: source("vfio_ioctl_device_feature_migration_precopy_info_v2"),
    since: "7.1",
  },
  "VFIO-MIG-INFO2-2": {
    rule: "from then on, until the device is closed, flags of precopy info are output",
    source: header("VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2"),
    since: "7.1",
    observable: "later-call",
  },
});

const NAMES = new Map<MigrationState, string>(Object.entries(STATE).map(([name, state]) => [state, name]));
const arcName = (from: MigrationState, to: MigrationState): string =>
  `VFIO-MIG-ARC-${NAMES.get(from)}-TO-${NAMES.get(to)}`;

/** Every arc as a clause, so that it is told which of them were walked. */
const arcs = clauses(
  Object.fromEntries(
    arcsOf(MIGRATION.STOP_COPY | MIGRATION.P2P | MIGRATION.PRE_COPY).map(([from, to]) => [
      arcName(from, to),
      {
        ...migrated,
        rule: `the arc ${NAMES.get(from)} -> ${NAMES.get(to)} is carried out`,
        source: header("vfio_device_mig_state"),
        observable: "later-call",
      },
    ]),
  ),
);

/** struct vfio_migration_ops, and what the device says that it can do. */
export interface MigrationOps {
  /** Flags of MIGRATION. */
  readonly flags: number;
  /** Whether its user asked for the second form of precopy info. */
  precopyInfoV2: boolean;
  /** Goes to a state; gives the file of a session that this begins. */
  setState(k: Kernel, wanted: MigrationState): Operation<File | null>;
  getState(k: Kernel): Operation<MigrationState>;
  /** Bytes. */
  dataSize(k: Kernel): number;
}

const migrates = (_k: Kernel, { accessGranted, device }: DeviceFile): boolean =>
  accessGranted && device.ops.migration !== undefined;

const { GET, SET } = FEATURE;
featureIoctl("MIGRATION", GET, { capabilities: field.out64() });

/** The plain states first, then all that there are, and one that is none. */
const WORTH_TRYING = [
  STATE.STOP_COPY,
  STATE.PRE_COPY,
  STATE.RESUMING,
  STATE.STOP,
  STATE.RUNNING,
  5,
  6,
  7,
  0,
  8,
] as const;
featureIoctl(
  "MIG_DEVICE_STATE",
  SET | GET,
  {
    device_state: field.value32(STATE.RUNNING, ...WORTH_TRYING),
    data_fd: { ...field.out32("migration"), signed: true },
  },
  { useful: migrates },
);
featureIoctl("MIG_DATA_SIZE", GET, { stop_copy_length: field.out64() });
featureIoctl("MIG_PRECOPY_INFOv2", SET, {}, { useful: migrates });

const STATE_END = FEATURE_HEADER + 8;
const DATA_FD: ChoiceSite = { at: "field", offset: FEATURE_HEADER + 4, width: 4 };

/** Stores one number of eight bytes as the feature's data. */
function putNumber(block: UserBlock, value: number, fault: Clause): void {
  const image = new Uint8Array(FEATURE_HEADER + 8);
  writeValue(new DataView(image.buffer), FEATURE_HEADER, 8, value);
  block.copyTo(image, FEATURE_HEADER, image.length, fault);
}

/** Stores struct vfio_device_feature_mig_state. */
function putState(block: UserBlock, state: MigrationState, fd: number): void {
  const image = new Uint8Array(STATE_END);
  const view = new DataView(image.buffer);
  view.setUint32(FEATURE_HEADER, state, true);
  view.setInt32(FEATURE_HEADER + 4, fd, true);
  block.copyTo(image, FEATURE_HEADER, STATE_END, rule["VFIO-MIG-STATE-4"]);
}

/** vfio_ioctl_device_feature_migration */
const migration: Feature = {
  index: FEATURE_INDEX.MIGRATION,
  *run(k, request): Operation<number> {
    const ops = k.migration.opsOf(request.device);
    if (!k.feature.check(k, request, GET, 8)) return 0;
    putNumber(request.block, ops.flags, rule["VFIO-MIG-FLAGS-1"]);
    k.keeps(rule["VFIO-MIG-FLAGS-2"]);
    return 0;
  },
};

/** vfio_ioctl_device_feature_mig_device_state */
const deviceState: Feature = {
  index: FEATURE_INDEX.MIG_DEVICE_STATE,
  *run(k, request): Operation<number> {
    const { flags, block } = request;
    const ops = k.migration.opsOf(request.device);
    if (!k.feature.check(k, request, GET | SET, 8)) return 0;
    block.copyFrom(STATE_END, rule["VFIO-MIG-STATE-1"], FEATURE_HEADER);
    if (flags & GET) {
      putState(block, yield* ops.getState(k), -1);
      k.keeps(rule["VFIO-MIG-STATE-2"]);
      return 0;
    }
    const wanted = block.u32(FEATURE_HEADER);
    let session: File | null;
    try {
      session = yield* ops.setState(k, wanted);
    } catch (refusal) {
      if (refusal instanceof Refusal) putState(block, wanted, -1);
      throw refusal;
    }
    if (session) k.migration.returnFd(k, block, wanted, session);
    else putState(block, wanted, -1);
    k.keeps(rule["VFIO-MIG-STATE-5"]);
    return 0;
  },
};

/** vfio_ioctl_device_feature_migration_data_size */
const dataSize: Feature = {
  index: FEATURE_INDEX.MIG_DATA_SIZE,
  since: "6.2",
  *run(k, request): Operation<number> {
    const ops = k.migration.opsOf(request.device);
    if (!k.feature.check(k, request, GET, 8)) return 0;
    putNumber(request.block, ops.dataSize(k), rule["VFIO-MIG-SIZE-1"]);
    k.keeps(rule["VFIO-MIG-SIZE-2"]);
    return 0;
  },
};

/** vfio_ioctl_device_feature_migration_precopy_info_v2 */
const precopyInfoV2: Feature = {
  index: FEATURE_INDEX.MIG_PRECOPY_INFOv2,
  since: "7.1",
  *run(k, request): Operation<number> {
    const { migration } = request.device.ops;
    must(migration !== undefined && (migration.flags & MIGRATION.PRE_COPY) !== 0, rule["VFIO-MIG-INFO2-1"]);
    if (!k.feature.check(k, request, SET, 0)) return 0;
    migration.precopyInfoV2 = true;
    k.keeps(rule["VFIO-MIG-INFO2-2"]);
    return 0;
  },
};

export const migrationFeatures: readonly Feature[] = [migration, deviceState, dataSize, precopyInfoV2];

export const steps = {
  opsOf({ ops }: VfioDevice): MigrationOps {
    must(ops.migration !== undefined, featureRule["VFIO-FEATURE-5"]);
    return ops.migration;
  },

  /** vfio_mig_get_next_state */
  nextState(flags: number, from: MigrationState, to: MigrationState): MigrationState {
    const next = nextState(flags, from, to);
    if (next === undefined && from === STATE.STOP_COPY && (to === STATE.PRE_COPY || to === STATE.PRE_COPY_P2P)) {
      throw rule["VFIO-MIG-STATE-6"].refusal;
    }
    must(next !== undefined, rule["VFIO-MIG-STATE-3"]);
    return next;
  },

  /** A driver is asked for the state that its device is in. */
  stays(k: Kernel): void {
    k.keeps(rule["VFIO-MIG-STATE-7"]);
  },

  /** A driver has carried an arc out. */
  walked(k: Kernel, from: MigrationState, to: MigrationState): void {
    const arc = arcs[arcName(from, to)];
    if (arc) k.keeps(arc);
  },

  /** vfio_ioct_mig_return_fd */
  returnFd(k: Kernel, block: UserBlock, state: MigrationState, session: File): void {
    const fd = k.chooseFd(DATA_FD);
    try {
      putState(block, state, fd);
    } catch (refusal) {
      k.putFile(session);
      throw refusal;
    }
    k.fds.install(fd, session);
  },
};
