/** The properties of the suite. */
import { OWN_NODE_SINCE } from "../model/iommufd/selftest/mock-device.ts";
import { type KconfigOption, since } from "../model/profile.ts";
import type { Topology } from "../model/topology.ts";
import { SPACE_MOTIFS } from "./generate/iommufd-motifs.ts";
import { KVM_MOTIFS } from "./generate/kvm-motifs.ts";
import { crowd, orphan } from "./generate/mdevs.ts";
import { MIGRATION_MOTIFS, SAMPLE_MOTIFS } from "./generate/migration-motifs.ts";
import { ACCESS_MOTIFS, MOCK_MOTIFS } from "./generate/mock-motifs.ts";
import { MOTIFS } from "./generate/motifs.ts";
import type { Focus, MoveKind } from "./generate/moves.ts";
import { BINDING_MOTIFS, FUNCTION_MOTIFS } from "./generate/pair-motifs.ts";
import { MOCK_TABLE_MOTIFS, TABLE_MOTIFS, VIOMMU_MOTIFS } from "./generate/table-motifs.ts";
import { COMPAT_MOTIFS, TYPE1_MOTIFS } from "./generate/type1-motifs.ts";
import * as goal from "./goals.ts";
import { areasApart, areasInReach } from "./invariants/areas.ts";
import { faultsOfAttached } from "./invariants/faults.ts";
import { accessStays, gateBeforeAccess, hotResetNeedsOwnership } from "./invariants/history.ts";
import { recordedVmsLive } from "./invariants/kvm.ts";
import { mdevsCounted, mdevsUnique } from "./invariants/mdevs.ts";
import { sessionByState } from "./invariants/migration.ts";
import { pinnedWhileNeeded, pinsCounted } from "./invariants/pins.ts";
import {
  accessMonotone,
  groupXorCdev,
  inUseStays,
  lockOrder,
  locksDropped,
  oneCdevOpen,
  openDevicesAreBacked,
} from "./invariants/state.ts";
import { MEMORY_GOALS } from "./memory-goals.ts";
import type { Property } from "./property.ts";

/** Every state invariant: they cost little, so each property has them all. */
export const STATE_INVARIANTS = [
  oneCdevOpen,
  groupXorCdev,
  accessMonotone,
  openDevicesAreBacked,
  inUseStays,
  faultsOfAttached,
  lockOrder,
  locksDropped,
  mdevsUnique,
  mdevsCounted,
  recordedVmsLive,
  sessionByState,
  areasApart,
  areasInReach,
  pinnedWhileNeeded,
  pinsCounted,
] as const;

export const HISTORY_INVARIANTS = [gateBeforeAccess, accessStays, hotResetNeedsOwnership] as const;

const WEIGHTS: Readonly<Record<MoveKind, number>> = {
  open: 10,
  ioctl: 36,
  close: 6,
  dup: 2,
  io: 2,
  mdev: 1,
  binding: 0,
  probe: 2,
  credentials: 0,
};

/** Mediated devices, those that are there already far more often than those to be made. */
const mdevs = ({ mdevs }: Topology): string[] =>
  mdevs.flatMap(({ name, standing }) => (standing ? Array.from({ length: 6 }, () => name) : [name]));
/** Mediated devices that are there already. */
const standing = ({ mdevs }: Topology): string[] => mdevs.flatMap(({ name, standing }) => (standing ? [name] : []));
const times = <T>(count: number, item: T): T[] => Array.from({ length: count }, () => item);
/** Serial cards: one that is there, and one to be made. */
const cards = (topology: Topology): string[] => [
  ...standing(topology).filter((name) => name.startsWith("mtty")),
  ...standing(topology).filter((name) => name.startsWith("mtty")),
  ...topology.mdevs.flatMap(({ name, standing }) => (standing ? [] : [name])).slice(0, 1),
];
const functions = (topology: Topology): string[] => topology.functions.map(({ name }) => name);

function property(
  given: Pick<Property, "id" | "title" | "goals" | "share"> & {
    readonly devices: (topology: Topology) => readonly string[];
    /** What must stand before its functions: an IOMMU, or none and no-IOMMU mode in its place. */
    readonly functionsBehind?: "iommu" | "noiommu";
    /** Whether it is about mocks of the kernel's selftests. */
    readonly mocks?: true;
    /** Options without which there is nothing that it is about. */
    readonly needs?: readonly KconfigOption[];
    readonly weights?: Partial<Record<MoveKind, number>>;
    readonly ioctls?: Focus["ioctls"];
    readonly otherIoctls?: number;
    readonly kvm?: boolean;
    readonly motifs?: Focus["motifs"];
    readonly alwaysOpens?: boolean;
    readonly memfds?: boolean;
    readonly wrongOneIn?: number;
    readonly shortest?: number;
    /** One call in so many runs out of memory, which the kernel must be able to bring about. */
    readonly failOneIn?: number;
    readonly length?: number;
  },
): Property {
  const focuses = new WeakMap<Topology, Focus>();
  return {
    id: given.id,
    title: given.title,
    goals: given.goals,
    share: given.share,
    shortest: given.shortest ?? null,
    length: given.length ?? 100,
    state: STATE_INVARIANTS,
    history: HISTORY_INVARIANTS,
    whyNot(topology, { version, kconfig }) {
      if (given.failOneIn !== undefined && topology.noFailNth !== null) return topology.noFailNth;
      if (given.functionsBehind === "iommu" && !topology.iommu) return "The machine has no IOMMU.";
      if (given.functionsBehind === "noiommu") {
        if (topology.iommu || !topology.noiommu) return "The machine is not in no-IOMMU mode.";
      }
      if (given.mocks && topology.iommu && !since({ version, kconfig }, OWN_NODE_SINCE)) {
        return `Before ${OWN_NODE_SINCE} mocks are not attached on a machine with an IOMMU.`;
      }
      const lacking = given.needs?.find((option) => !kconfig.has(option));
      if (lacking !== undefined) return `The kernel has no CONFIG_${lacking}.`;
      return given.devices(topology).length > 0 ? null : "The machine has none of the devices that it is about.";
    },
    focus(topology) {
      let focus = focuses.get(topology);
      if (!focus) {
        focus = {
          devices: given.devices(topology),
          weights: { ...WEIGHTS, ...given.weights },
          kvm: given.kvm ?? true,
          wrongOneIn: given.wrongOneIn ?? 6,
          ...(given.failOneIn === undefined ? {} : { failOneIn: given.failOneIn }),
          ...(given.ioctls ? { ioctls: given.ioctls } : {}),
          ...(given.otherIoctls === undefined ? {} : { otherIoctls: given.otherIoctls }),
          ...(given.memfds === undefined ? {} : { memfds: given.memfds }),
          ...(given.alwaysOpens === undefined ? {} : { alwaysOpens: given.alwaysOpens }),
          ...(given.motifs ? { motifs: given.motifs } : {}),
        };
        focuses.set(topology, focus);
      }
      return focus;
    },
  };
}

/** Ioctls that reset a device: slow on real ones. */
const NO_RESETS = { VFIO_DEVICE_RESET: 0, VFIO_DEVICE_PCI_HOT_RESET: 0 } as const;

/** Commands that say little of a device by itself. */
const FEW_OBJECTS = {
  IOMMU_IOAS_ALLOC: 0.2,
  IOMMU_IOAS_MAP: 0.1,
  IOMMU_DESTROY: 0.2,
  VFIO_CHECK_EXTENSION: 0.2,
} as const;

export const PROPERTIES: readonly Property[] = [
  property({
    id: "emulated-devices",
    title: "mediated devices through groups, containers, iommufds and their own nodes answer as they must",
    devices: (topology) => [...mdevs(topology), ...functions(topology).slice(0, 1)],
    ioctls: { ...NO_RESETS, VFIO_GROUP_GET_DEVICE_FD: 1.5 },
    share: 5,
    goals: [
      goal.containerBackend,
      goal.deviceThroughGroup,
      goal.bound,
      goal.bindGroupOpen,
      goal.attached,
      goal.kvmFileAdded,
      goal.mdevCreated,
      goal.mdevRemoved,
      goal.groupBusyByCdev,
    ],
  }),
  property({
    id: "iommufd-objects",
    memfds: true,
    title: "IOAS, mappings and attachments: ids, ranges and lifetimes",
    devices: standing,
    kvm: false,
    weights: { mdev: 0, open: 6 },
    ioctls: {
      ...NO_RESETS,
      IOMMU_IOAS_MAP: 5,
      IOMMU_IOAS_MAP_FILE: 2,
      IOMMU_IOAS_COPY: 3,
      IOMMU_IOAS_UNMAP: 3,
      IOMMU_DESTROY: 1.5,
      IOMMU_IOAS_ALLOC: 2,
      IOMMU_OPTION: 1.5,
    },
    share: 3,
    goals: [
      goal.mapped,
      goal.fileMapped,
      goal.changeProcess,
      goal.copied,
      goal.copyMissing,
      goal.copyRights,
      goal.unmapped,
      goal.allowed,
      goal.optionSet,
      goal.optionBusy,
      goal.destroyBusy,
    ],
  }),
  property({
    id: "page-tables",
    functionsBehind: "iommu",
    needs: ["VFIO_DEVICE_CDEV"],
    title: "page tables that user space asks for: what they are made from, and what is attached to them",
    devices: functions,
    kvm: false,
    weights: { mdev: 0, open: 3, io: 3 },
    motifs: TABLE_MOTIFS,
    ioctls: {
      ...NO_RESETS,
      IOMMU_HWPT_ALLOC: 8,
      IOMMU_GET_HW_INFO: 2,
      IOMMU_FAULT_QUEUE_ALLOC: 1,
      IOMMU_DESTROY: 3,
      IOMMU_IOAS_MAP: 3,
      VFIO_DEVICE_ATTACH_IOMMUFD_PT: 6,
      VFIO_DEVICE_DETACH_IOMMUFD_PT: 2,
    },
    share: 1,
    goals: [goal.tableMade, goal.tableRefused, goal.informed, goal.queueMade, goal.attached, goal.destroyBusy],
  }),
  property({
    id: "mock-tables",
    mocks: true,
    needs: ["IOMMUFD_TEST"],
    title: "page tables of mocks: nested ones and their caches, what is written through them, and page faults",
    devices: standing,
    kvm: false,
    weights: { mdev: 0, open: 1, io: 12, probe: 1 },
    motifs: MOCK_TABLE_MOTIFS,
    ioctls: {
      ...NO_RESETS,
      IOMMU_HWPT_ALLOC: 6,
      IOMMU_GET_HW_INFO: 1,
      IOMMU_FAULT_QUEUE_ALLOC: 1,
      IOMMU_HWPT_SET_DIRTY_TRACKING: 2,
      IOMMU_HWPT_GET_DIRTY_BITMAP: 5,
      IOMMU_HWPT_INVALIDATE: 4,
      IOMMU_DESTROY: 2,
      IOMMU_IOAS_MAP: 3,
      IOMMU_IOAS_UNMAP: 1,
      IOMMU_TEST_OP_MOCK_DOMAIN: 1,
      IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE: 4,
      IOMMU_TEST_OP_DIRTY: 6,
      IOMMU_TEST_OP_MD_CHECK_IOTLB: 4,
      IOMMU_TEST_OP_TRIGGER_IOPF: 6,
    },
    share: 2,
    goals: [
      goal.mockTableMade,
      goal.cacheInvalidated,
      goal.cacheChecked,
      goal.mockWrote,
      goal.dirtyTold,
      goal.faultRead,
      goal.faultAnswered,
    ],
  }),
  property({
    id: "mock-viommus",
    mocks: true,
    needs: ["IOMMUFD_TEST"],
    title: "virtual IOMMUs of mocks: who joins and leaves, whose caches are invalidated, and what they tell their VM",
    devices: standing,
    kvm: false,
    weights: { mdev: 0, open: 1, io: 10, close: 3, probe: 1 },
    motifs: VIOMMU_MOTIFS,
    ioctls: {
      ...NO_RESETS,
      IOMMU_HWPT_ALLOC: 3,
      IOMMU_HWPT_INVALIDATE: 4,
      IOMMU_VIOMMU_ALLOC: 3,
      IOMMU_VDEVICE_ALLOC: 4,
      IOMMU_VEVENTQ_ALLOC: 3,
      IOMMU_HW_QUEUE_ALLOC: 3,
      IOMMU_IOAS_MAP: 2,
      IOMMU_IOAS_UNMAP: 2,
      IOMMU_DESTROY: 5,
      IOMMU_TEST_OP_MOCK_DOMAIN: 1,
      IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE: 4,
      IOMMU_TEST_OP_TRIGGER_VEVENT: 8,
      IOMMU_TEST_OP_DEV_CHECK_CACHE: 3,
    },
    share: 1,
    goals: [
      goal.viommuMade,
      goal.viommuJoined,
      goal.veventRead,
      goal.deviceCacheChecked,
      goal.hwQueueMade,
      goal.destroyBusy,
    ],
  }),
  property({
    id: "iommufd-mock",
    mocks: true,
    needs: ["IOMMUFD_TEST"],
    title: "mocks of the kernel's selftests: what their page tables hold, and what is pinned for them",
    devices: standing,
    kvm: false,
    weights: { mdev: 0, open: 3, probe: 3, credentials: 1 },
    motifs: MOCK_MOTIFS,
    otherIoctls: 0.3,
    ioctls: {
      ...NO_RESETS,
      IOMMU_IOAS_ALLOC: 2,
      IOMMU_IOAS_MAP: 6,
      IOMMU_IOAS_UNMAP: 4,
      IOMMU_DESTROY: 3,
      IOMMU_TEST_OP_MOCK_DOMAIN: 3,
      IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS: 1,
      IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE: 3,
      IOMMU_TEST_OP_MD_CHECK_MAP: 6,
      IOMMU_TEST_OP_MD_CHECK_REFS: 3,
      IOMMU_TEST_OP_ADD_RESERVED: 0.5,
      IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT: 0.5,
    },
    share: 2,
    goals: [
      goal.mockAttached,
      goal.mockMoved,
      goal.mapChecked,
      goal.mapCheckRefused,
      goal.pinsCounted,
      goal.unmapped,
      goal.destroyBusy,
    ],
  }),
  property({
    id: "iommufd-areas",
    memfds: true,
    needs: ["IOMMUFD"],
    title: "long programs with many mappings: what lies where, and what is pinned and counted for it",
    devices: (topology) => [...standing(topology).slice(0, 1), ...(topology.iommu ? functions(topology) : [])],
    kvm: false,
    weights: { mdev: 0, open: 1, ioctl: 60, close: 0, dup: 0, io: 0, probe: 3, credentials: 1 },
    motifs: SPACE_MOTIFS,
    alwaysOpens: true,
    ioctls: {
      IOMMU_IOAS_MAP: 10,
      IOMMU_IOAS_MAP_FILE: 2,
      IOMMU_IOAS_CHANGE_PROCESS: 0.3,
      IOMMU_IOAS_COPY: 4,
      IOMMU_IOAS_UNMAP: 1.5,
      IOMMU_IOAS_IOVA_RANGES: 0.5,
      IOMMU_IOAS_ALLOW_IOVAS: 0.1,
      IOMMU_IOAS_ALLOC: 0.1,
      IOMMU_DESTROY: 0.1,
      IOMMU_OPTION: 0.2,
      VFIO_DEVICE_BIND_IOMMUFD: 0.2,
      VFIO_DEVICE_ATTACH_IOMMUFD_PT: 0.4,
      VFIO_DEVICE_DETACH_IOMMUFD_PT: 0.2,
      IOMMU_TEST_OP_MOCK_DOMAIN: 0.1,
      IOMMU_TEST_OP_MD_CHECK_MAP: 0.5,
    },
    otherIoctls: 0,
    wrongOneIn: 10,
    shortest: 200,
    length: 1000,
    share: 0.2,
    goals: [goal.mapped, goal.copied, goal.unmapped, goal.mapLimit, goal.mapNoRoom],
  }),
  property({
    id: "iommufd-access",
    needs: ["IOMMUFD_TEST"],
    title: "accesses, which emulated devices use: what they pin, read and write, and how they let go of it",
    devices: standing,
    kvm: false,
    weights: { mdev: 0, open: 3, probe: 4, credentials: 1, close: 4 },
    motifs: ACCESS_MOTIFS,
    otherIoctls: 0.3,
    ioctls: {
      ...NO_RESETS,
      IOMMU_IOAS_ALLOC: 1,
      IOMMU_IOAS_MAP: 6,
      IOMMU_IOAS_UNMAP: 5,
      IOMMU_DESTROY: 2,
      IOMMU_TEST_OP_MOCK_DOMAIN: 1,
      IOMMU_TEST_OP_MD_CHECK_REFS: 2,
      IOMMU_TEST_OP_CREATE_ACCESS: 3,
      IOMMU_TEST_OP_ACCESS_PAGES: 10,
      IOMMU_TEST_OP_DESTROY_ACCESS_PAGES: 4,
      IOMMU_TEST_OP_ACCESS_RW: 10,
      IOMMU_TEST_OP_ACCESS_REPLACE_IOAS: 2,
    },
    share: 2,
    goals: [
      goal.accessPinned,
      goal.accessGap,
      goal.accessUnpinned,
      goal.accessMoved,
      goal.accessReplaced,
      goal.pinsCounted,
      goal.unmapped,
      goal.destroyBusy,
    ],
  }),
  property({
    id: "kvm-vfio",
    title: "VMs and the VFIO files that they know: who keeps whom alive",
    devices: standing,
    weights: { mdev: 0, close: 10, probe: 4 },
    ioctls: { ...NO_RESETS, KVM_CREATE_VM: 2, KVM_CREATE_DEVICE: 3, KVM_SET_DEVICE_ATTR: 8 },
    share: 1,
    motifs: KVM_MOTIFS,
    goals: [
      goal.kvmFileAdded,
      goal.bound,
      goal.kvmSecondDevice,
      goal.kvmFileTwice,
      goal.kvmFileUnknown,
      goal.kvmNoVfioFile,
      goal.kvmVmOutlives,
    ],
  }),
  property({
    id: "pci-functions",
    functionsBehind: "iommu",
    title: "PCI functions bound to vfio-pci: opening, sharing groups, attaching",
    motifs: FUNCTION_MOTIFS,
    devices: functions,
    weights: { credentials: 1 },
    ioctls: {
      VFIO_DEVICE_RESET: 0.2,
      VFIO_DEVICE_PCI_HOT_RESET: 0.5,
      VFIO_DEVICE_FEATURE: 0.5,
      VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY: 0.5,
      VFIO_DEVICE_FEATURE_LOW_POWER_EXIT: 0.3,
    },
    share: 1,
    goals: [goal.deviceThroughGroup, goal.bound, goal.attached],
  }),
  property({
    id: "type1",
    needs: ["VFIO_CONTAINER"],
    title: "containers: what is mapped, pinned, counted and logged while groups come and go",
    devices: (topology) => [...standing(topology), ...functions(topology)],
    weights: { mdev: 0, io: 1, dup: 1, open: 5, probe: 4, credentials: 3 },
    motifs: TYPE1_MOTIFS,
    kvm: false,
    ioctls: {
      ...NO_RESETS,
      VFIO_IOMMU_MAP_DMA: 8,
      VFIO_IOMMU_UNMAP_DMA: 5,
      VFIO_IOMMU_GET_INFO: 2,
      VFIO_IOMMU_DIRTY_PAGES: 4,
      VFIO_GROUP_SET_CONTAINER: 4,
      VFIO_SET_IOMMU: 3,
      VFIO_CHECK_EXTENSION: 1,
    },
    share: 2,
    goals: [
      goal.containerBackend,
      goal.dmaMapped,
      goal.dmaMapExists,
      goal.dmaMapFull,
      goal.dmaMapLimit,
      goal.dmaMapFault,
      goal.dmaUnmapped,
      goal.iommuInfo,
      goal.dirtyLogged,
    ],
  }),
  property({
    id: "iommufd-compat",
    needs: ["IOMMUFD", "VFIO_GROUP"],
    title:
      "programs that take an iommufd for a container: what is mapped, cut and told, and what iommufd's commands see of it",
    devices: (topology) => [...standing(topology), ...functions(topology)],
    weights: { mdev: 0, io: 1, dup: 1, open: 5, probe: 4, credentials: 2 },
    motifs: COMPAT_MOTIFS,
    kvm: false,
    ioctls: {
      ...NO_RESETS,
      VFIO_IOMMU_MAP_DMA: 8,
      VFIO_IOMMU_UNMAP_DMA: 8,
      VFIO_IOMMU_GET_INFO: 2,
      VFIO_GROUP_SET_CONTAINER: 4,
      VFIO_GROUP_GET_DEVICE_FD: 3,
      VFIO_SET_IOMMU: 2,
      IOMMU_VFIO_IOAS: 1,
      IOMMU_IOAS_UNMAP: 2,
    },
    share: 1,
    goals: [goal.deviceThroughGroup, goal.dmaMapped, goal.dmaUnmapped, goal.iommuInfo],
  }),
  property({
    id: "hot-reset",
    functionsBehind: "iommu",
    title: "hot resets: what they hit, and who may do them",
    devices: (topology) =>
      functions(topology).filter((name) => topology.functions.find((spec) => spec.name === name)?.resetScope),
    ioctls: { VFIO_DEVICE_PCI_HOT_RESET: 6, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: 3, VFIO_DEVICE_RESET: 0.2 },
    share: 0.5,
    goals: [goal.hotReset, goal.hotResetRefused],
  }),
  property({
    id: "mdev-lifecycle",
    title: "mediated devices are made, counted, unbound and removed, and what their types say of themselves",
    devices: mdevs,
    kvm: false,
    weights: { mdev: 30, open: 5, ioctl: 12, close: 5, dup: 1, io: 1, probe: 4 },
    ioctls: NO_RESETS,
    motifs: [...times(10, crowd), ...times(5, orphan), ...MOTIFS],
    length: 60,
    share: 0.5,
    goals: [goal.mdevCreated, goal.mdevRemoved, goal.mdevDuplicate, goal.mdevFull, goal.mdevUnbound, goal.mdevNotBound],
  }),
  property({
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
      goal.stateChanged,
      goal.stateRefused,
      goal.streamRead,
      goal.streamWritten,
      goal.streamRefused,
      goal.precopyInfo,
      goal.deviceReset,
      goal.loggingStarted,
    ],
  }),
  property({
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
    goals: [goal.regionRead, goal.regionWritten, goal.irqsSet, goal.eventRead, goal.planeQueried, goal.regionMapped],
  }),
  property({
    id: "driver-binding",
    functionsBehind: "iommu",
    title: "drivers come and go: override, bind, unbind, and who owns the group meanwhile",
    motifs: BINDING_MOTIFS,
    devices: (topology) => [...functions(topology), ...mdevs(topology).slice(0, 1)],
    weights: { binding: 12 },
    ioctls: NO_RESETS,
    share: 0.5,
    goals: [goal.rebound],
  }),
  property({
    id: "noiommu",
    functionsBehind: "noiommu",
    needs: ["VFIO_NOIOMMU"],
    title:
      "functions without an IOMMU in no-IOMMU mode: through groups and containers or iommufds, never mixed with others",
    devices: (topology) => [...functions(topology), ...standing(topology).slice(0, 1)],
    kvm: false,
    weights: { binding: 3, mdev: 0, credentials: 1 },
    ioctls: { ...NO_RESETS, VFIO_GROUP_SET_CONTAINER: 4, VFIO_SET_IOMMU: 3, VFIO_CHECK_EXTENSION: 1 },
    share: 3,
    goals: [goal.noiommuBackend, goal.noiommuMixed, goal.deviceThroughGroup],
  }),
  property({
    id: "allocation-failures",
    title: "calls that run out of memory are refused and leave nothing behind, whichever allocation fails",
    devices: (topology) => [...mdevs(topology), ...(topology.iommu ? functions(topology) : [])],
    failOneIn: 3,
    motifs: [...MOTIFS, ...KVM_MOTIFS, ...TYPE1_MOTIFS],
    weights: { mdev: 2, binding: 1, credentials: 1 },
    ioctls: {
      ...NO_RESETS,
      // It stops on its way: where, nobody can say beforehand.
      VFIO_DEVICE_FEATURE: 0,
      VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE: 0,
      VFIO_GROUP_SET_CONTAINER: 3,
      VFIO_IOMMU_MAP_DMA: 4,
      KVM_SET_DEVICE_ATTR: 4,
    },
    share: 2,
    goals: MEMORY_GOALS,
  }),
];

/** The property of that id, or undefined. */
export function findProperty(id: string): Property | undefined {
  return PROPERTIES.find((candidate) => candidate.id === id);
}
