/** Goals: what a campaign must have seen, so that a run which exercised too little is no pass. */
import { handleKind } from "../model/handles.ts";
import type { Attribute } from "../model/program.ts";
import { ERRNO } from "../model/uapi/errno.ts";
import { EXTENSION } from "../model/vfio/type1.ts";
import type { Goal } from "./coverage.ts";

const CDEV = { since: "6.6", kconfig: ["VFIO_DEVICE_CDEV"] } as const;
const GROUP = { kconfig: ["VFIO_GROUP"] } as const;
const CONTAINER = { kconfig: ["VFIO_CONTAINER"] } as const;
/** Emulated devices have nothing pinned for them. */
const PINNING = { ...CONTAINER, iommu: true } as const;
const KVM = { kconfig: ["KVM"] } as const;
const IOMMUFD = { since: "6.2", kconfig: ["IOMMUFD"] } as const;

/** An ioctl that ended like this: 0 for success, or an errno's name. */
function ioctlEnded(
  id: string,
  title: string,
  request: string,
  ending: 0 | keyof typeof ERRNO,
  needs: NonNullable<Goal["needs"]> = {},
): Goal {
  const code = ending === 0 ? 0 : -ERRNO[ending];
  return {
    id,
    title,
    needs,
    reached: (call, { ret }) =>
      call.op === "ioctl" && call.request === request && (ending === 0 ? ret >= 0 : ret === code),
  };
}

export const containerBackend = ioctlEnded("set-iommu", "a container got a backend", "VFIO_SET_IOMMU", 0, CONTAINER);
export const deviceThroughGroup = ioctlEnded(
  "get-device-fd",
  "a device was opened through its group",
  "VFIO_GROUP_GET_DEVICE_FD",
  0,
  GROUP,
);
export const noiommuBackend: Goal = {
  id: "noiommu-backend",
  title: "a container, or an iommufd in its place, took VFIO_NOIOMMU_IOMMU",
  needs: { kconfig: ["VFIO_NOIOMMU"] },
  reached: (call, { ret }) =>
    call.op === "ioctl" &&
    call.request === "VFIO_SET_IOMMU" &&
    ret === 0 &&
    call.arg.kind === "value" &&
    call.arg.value === EXTENSION.NOIOMMU,
};
export const noiommuMixed = ioctlEnded(
  "noiommu-mixed",
  "a container refused a group because it holds groups of the other kind",
  "VFIO_GROUP_SET_CONTAINER",
  "EPERM",
  CONTAINER,
);
export const bound = ioctlEnded("bind", "a device was bound through its own node", "VFIO_DEVICE_BIND_IOMMUFD", 0, CDEV);
export const bindGroupOpen = ioctlEnded(
  "bind-group-open",
  "a bind was refused because the group is open",
  "VFIO_DEVICE_BIND_IOMMUFD",
  "EBUSY",
  { ...CDEV, kconfig: [...CDEV.kconfig, ...GROUP.kconfig] },
);
export const attached = ioctlEnded(
  "attach",
  "a device was attached to an IOAS",
  "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
  0,
  CDEV,
);
export const mapped = ioctlEnded("map", "memory was mapped into an IOAS", "IOMMU_IOAS_MAP", 0, IOMMUFD);
export const unmapped = ioctlEnded("unmap", "a mapping was removed", "IOMMU_IOAS_UNMAP", 0, IOMMUFD);
export const mapLimit = ioctlEnded(
  "map-limit",
  "a mapping was refused because the caller may lock no more memory",
  "IOMMU_IOAS_MAP",
  "ENOMEM",
  { ...IOMMUFD, iommu: true },
);
export const mapNoRoom = ioctlEnded(
  "map-no-room",
  "a mapping was refused because the kernel had no place for it",
  "IOMMU_IOAS_MAP",
  "ENOSPC",
  IOMMUFD,
);
const MAP_FILE = { ...IOMMUFD, since: "6.13" } as const;
export const fileMapped = ioctlEnded("map-file", "a memfd was mapped into an IOAS", "IOMMU_IOAS_MAP_FILE", 0, MAP_FILE);
export const changeProcess = ioctlEnded(
  "change-process",
  "what is pinned was taken over",
  "IOMMU_IOAS_CHANGE_PROCESS",
  0,
  { ...IOMMUFD, since: "6.14" },
);
export const copied = ioctlEnded("copy", "a mapping was copied", "IOMMU_IOAS_COPY", 0, IOMMUFD);
export const copyMissing = ioctlEnded(
  "copy-missing",
  "a copy was refused because not all of it is mapped",
  "IOMMU_IOAS_COPY",
  "ENOENT",
  IOMMUFD,
);
export const copyRights = ioctlEnded(
  "copy-rights",
  "what was mapped to be read was not copied to be written",
  "IOMMU_IOAS_COPY",
  "EPERM",
  IOMMUFD,
);
export const allowed = ioctlEnded("allow-iovas", "ranges were allowed", "IOMMU_IOAS_ALLOW_IOVAS", 0, IOMMUFD);
export const optionSet = ioctlEnded("option", "an option was set or told", "IOMMU_OPTION", 0, IOMMUFD);
export const optionBusy = ioctlEnded(
  "option-busy",
  "accounting could not be changed because there are objects",
  "IOMMU_OPTION",
  "EBUSY",
  IOMMUFD,
);
export const destroyBusy = ioctlEnded(
  "destroy-busy",
  "an object in use could not be destroyed",
  "IOMMU_DESTROY",
  "EBUSY",
  IOMMUFD,
);
export const hotReset = ioctlEnded("hot-reset", "a hot reset succeeded", "VFIO_DEVICE_PCI_HOT_RESET", 0);
export const hotResetRefused = ioctlEnded(
  "hot-reset-not-owned",
  "a hot reset was refused because the caller does not own all that it hits",
  "VFIO_DEVICE_PCI_HOT_RESET",
  "EINVAL",
);
export const kvmFileAdded = ioctlEnded("kvm-file", "a VM was told of a file, or forgot one", "KVM_SET_DEVICE_ATTR", 0);

export const dmaMapped = ioctlEnded("map-dma", "memory was mapped in a container", "VFIO_IOMMU_MAP_DMA", 0);
export const dmaMapExists = ioctlEnded(
  "map-dma-exists",
  "a mapping was refused because something is mapped there",
  "VFIO_IOMMU_MAP_DMA",
  "EEXIST",
);
export const dmaMapFull = ioctlEnded(
  "map-dma-full",
  "a mapping was refused because the container is full",
  "VFIO_IOMMU_MAP_DMA",
  "ENOSPC",
);
export const dmaMapLimit = ioctlEnded(
  "map-dma-limit",
  "a mapping was refused because the caller may lock no more memory",
  "VFIO_IOMMU_MAP_DMA",
  "ENOMEM",
  PINNING,
);
export const dmaMapFault = ioctlEnded(
  "map-dma-fault",
  "a mapping was refused because its memory can't be pinned",
  "VFIO_IOMMU_MAP_DMA",
  "EFAULT",
  PINNING,
);
export const dmaUnmapped = ioctlEnded("unmap-dma", "a range was unmapped", "VFIO_IOMMU_UNMAP_DMA", 0);
export const iommuInfo = ioctlEnded("iommu-info", "a container told of its IOMMU", "VFIO_IOMMU_GET_INFO", 0);
export const dirtyLogged = ioctlEnded("dirty-pages", "dirty pages were logged", "VFIO_IOMMU_DIRTY_PAGES", 0);
export const kvmSecondDevice = ioctlEnded(
  "kvm-second-device",
  "a VM was refused a second VFIO device",
  "KVM_CREATE_DEVICE",
  "EBUSY",
  KVM,
);
export const kvmFileTwice = ioctlEnded(
  "kvm-file-twice",
  "a VM was told of a file that it knows",
  "KVM_SET_DEVICE_ATTR",
  "EEXIST",
  KVM,
);
export const kvmFileUnknown = ioctlEnded(
  "kvm-file-unknown",
  "a VM was to forget a file that it does not know",
  "KVM_SET_DEVICE_ATTR",
  "ENOENT",
  KVM,
);
export const kvmNoVfioFile = ioctlEnded(
  "kvm-no-vfio-file",
  "a VM was told of a file that is none of VFIO's",
  "KVM_SET_DEVICE_ATTR",
  "EINVAL",
  KVM,
);
export const kvmVmOutlives: Goal = {
  id: "kvm-vms-counted",
  title: "VMs were counted while there were some",
  needs: KVM,
  reached: (call, { ret }) => call.op === "probe" && call.probe.kind === "vms" && ret > 0,
};
const MIGRATION_NEEDS = { since: "6.7", kconfig: ["VFIO_MDEV"] } as const;
const SET_STATE = "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE";
export const stateChanged = ioctlEnded(
  "mig-state",
  "a device was put into a migration state",
  SET_STATE,
  0,
  MIGRATION_NEEDS,
);
export const stateRefused = ioctlEnded(
  "mig-state-refused",
  "a device could not be put into a migration state",
  SET_STATE,
  "EINVAL",
  MIGRATION_NEEDS,
);
export const precopyInfo = ioctlEnded(
  "precopy-info",
  "a session told what is left of it",
  "VFIO_MIG_GET_PRECOPY_INFO",
  0,
  MIGRATION_NEEDS,
);
export const loggingStarted = ioctlEnded(
  "dma-logging",
  "logging was started",
  "VFIO_DEVICE_FEATURE_DMA_LOGGING_START",
  0,
  MIGRATION_NEEDS,
);
export const deviceReset = ioctlEnded("device-reset", "a device was reset", "VFIO_DEVICE_RESET", 0);
export const irqsSet = ioctlEnded(
  "set-irqs",
  "an interrupt was set, masked or raised",
  "VFIO_DEVICE_SET_IRQS",
  0,
  MIGRATION_NEEDS,
);
export const planeQueried = ioctlEnded("gfx-plane", "a display told what it shows", "VFIO_DEVICE_QUERY_GFX_PLANE", 0, {
  kconfig: ["VFIO_MDEV"],
});

const HWPT = { since: "6.7", kconfig: ["VFIO_DEVICE_CDEV"] } as const;
export const tableMade = ioctlEnded("hwpt-alloc", "a page table was asked for, and made", "IOMMU_HWPT_ALLOC", 0, HWPT);
export const tableRefused = ioctlEnded(
  "hwpt-alloc-refused",
  "a page table was asked for that the IOMMU has not",
  "IOMMU_HWPT_ALLOC",
  "EOPNOTSUPP",
  HWPT,
);
export const informed = ioctlEnded("hw-info", "a device told what its IOMMU is", "IOMMU_GET_HW_INFO", 0, HWPT);
export const queueMade = ioctlEnded("fault-queue", "a fault queue was made", "IOMMU_FAULT_QUEUE_ALLOC", 0, {
  ...HWPT,
  since: "6.11",
});
const TABLES = { since: "6.8", kconfig: ["IOMMUFD", "IOMMUFD_TEST"] } as const;
const FAULTING = { ...TABLES, since: "6.11" } as const;
export const mockTableMade = ioctlEnded(
  "mock-hwpt-alloc",
  "a mock's page table was made",
  "IOMMU_HWPT_ALLOC",
  0,
  TABLES,
);
export const cacheInvalidated = ioctlEnded(
  "invalidate",
  "the cache of a nested page table was invalidated",
  "IOMMU_HWPT_INVALIDATE",
  0,
  TABLES,
);
export const cacheChecked = ioctlEnded(
  "mock-check-iotlb",
  "a cache held what it must",
  "IOMMU_TEST_OP_MD_CHECK_IOTLB",
  0,
  TABLES,
);
export const dirtyTold = ioctlEnded(
  "dirty-bitmap",
  "it was told what was written",
  "IOMMU_HWPT_GET_DIRTY_BITMAP",
  0,
  TABLES,
);
export const mockWrote = ioctlEnded("mock-dirty", "a mock wrote to memory", "IOMMU_TEST_OP_DIRTY", 0, TABLES);

/** A read or write of a kind of file that ended like this. */
function moved(
  id: string,
  title: string,
  ops: readonly string[],
  kind: string,
  ended: (ret: number) => boolean,
  needs: NonNullable<Goal["needs"]> = { kconfig: ["VFIO_MDEV"] },
): Goal {
  return {
    id,
    title,
    needs,
    reached: (call, { ret }) =>
      ops.includes(call.op) &&
      "fd" in call &&
      typeof call.fd === "string" &&
      handleKind(call.fd) === kind &&
      ended(ret),
  };
}

const some = (ret: number): boolean => ret > 0;
export const regionRead = moved("region-read", "a device's region was read", ["read", "pread"], "device", some);
export const regionWritten = moved(
  "region-write",
  "a device's region was written",
  ["write", "pwrite"],
  "device",
  some,
);
export const regionMapped = moved("region-map", "a device's region was mapped", ["mmap"], "device", some);
export const eventRead = moved("event-read", "an interrupt was counted", ["read"], "eventfd", some, MIGRATION_NEEDS);
export const streamRead = moved("stream-read", "a session was read", ["read"], "migration", some, MIGRATION_NEEDS);
export const streamWritten = moved(
  "stream-write",
  "a session was written",
  ["write"],
  "migration",
  some,
  MIGRATION_NEEDS,
);
export const streamRefused = moved(
  "stream-refused",
  "a session took no more",
  ["write"],
  "migration",
  (ret) => ret < 0,
  MIGRATION_NEEDS,
);

export const faultRead = moved("fault-read", "a page fault was read", ["read"], "fault-queue", some, FAULTING);
export const faultAnswered = moved(
  "fault-answer",
  "a page fault was answered",
  ["write"],
  "fault-queue",
  some,
  FAULTING,
);

const VIRTUAL = { ...TABLES, since: "6.15" } as const;
export const viommuMade = ioctlEnded("viommu", "a virtual IOMMU was made", "IOMMU_VIOMMU_ALLOC", 0, VIRTUAL);
export const viommuJoined = ioctlEnded("vdevice", "a device joined a virtual IOMMU", "IOMMU_VDEVICE_ALLOC", 0, VIRTUAL);
export const hwQueueMade = ioctlEnded("hw-queue", "a hardware queue was made", "IOMMU_HW_QUEUE_ALLOC", 0, {
  ...VIRTUAL,
  since: "6.17",
});
export const deviceCacheChecked = ioctlEnded(
  "device-cache",
  "a device's cache held what it should",
  "IOMMU_TEST_OP_DEV_CHECK_CACHE",
  0,
  VIRTUAL,
);
export const veventRead = moved(
  "vevent-read",
  "an event of a virtual IOMMU was read",
  ["read"],
  "vevent-queue",
  some,
  VIRTUAL,
);

export const groupBusyByCdev: Goal = {
  id: "group-busy",
  title: "a group could not be opened because it is open, or a device of it bound",
  needs: GROUP,
  reached: (call, { ret }) => call.op === "open" && call.node.kind === "group" && ret === -ERRNO.EBUSY,
};

export const mdevCreated: Goal = {
  id: "mdev-create",
  title: "a mediated device was made",
  needs: { kconfig: ["VFIO_MDEV"] },
  reached: (call, { ret }) => call.op === "sysfs-write" && call.attribute.kind === "mdev-create" && ret > 0,
};

export const mdevRemoved: Goal = {
  id: "mdev-remove",
  title: "a mediated device was removed",
  needs: { kconfig: ["VFIO_MDEV"] },
  reached: (call, { ret }) =>
    call.op === "sysfs-write" &&
    call.attribute.kind === "mdev-remove" &&
    ret > 0 &&
    "text" in call.text &&
    call.text.text === "1",
};

/** A write about mediated devices that ended like this: 0 for success, or an errno's names. */
function mdevWrite(
  id: string,
  title: string,
  about: (attribute: Attribute) => boolean,
  ...endings: readonly (keyof typeof ERRNO)[]
): Goal {
  const codes = endings.map((name) => -ERRNO[name]);
  return {
    id,
    title,
    needs: { kconfig: ["VFIO_MDEV"] },
    reached: (call, { ret }) =>
      call.op === "sysfs-write" && about(call.attribute) && (codes.length > 0 ? codes.includes(ret) : ret > 0),
  };
}

const makes = ({ kind }: Attribute): boolean => kind === "mdev-create";

export const mdevDuplicate = mdevWrite("mdev-duplicate", "a UUID was refused a second device", makes, "EEXIST");
export const mdevFull = mdevWrite("mdev-full", "a parent had no room for another device", makes, "ENOSPC", "EUSERS");
export const mdevUnbound = mdevWrite(
  "mdev-unbind",
  "a mediated device lost its driver",
  (attribute) => attribute.kind === "mdev-driver" && attribute.file === "unbind",
);
export const mdevNotBound = mdevWrite(
  "mdev-bind",
  "a mediated device could not be bound by its name",
  (attribute) => attribute.kind === "mdev-driver" && attribute.file === "bind",
  "ENODEV",
);

export const rebound: Goal = {
  id: "bind-driver",
  title: "a function was bound to a driver",
  reached: (call, { ret }) => call.op === "sysfs-write" && call.attribute.kind === "bind" && ret > 0,
};

const MOCK = { since: "6.2", kconfig: ["IOMMUFD_TEST"] } as const;
export const mockAttached = ioctlEnded(
  "mock-attach",
  "a mock was made and attached",
  "IOMMU_TEST_OP_MOCK_DOMAIN",
  0,
  MOCK,
);
export const mockMoved = ioctlEnded(
  "mock-move",
  "a mock moved to another page table",
  "IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE",
  0,
  {
    ...MOCK,
    since: "6.6",
  },
);
export const mapChecked = ioctlEnded(
  "mock-check-map",
  "a page table held what is mapped",
  "IOMMU_TEST_OP_MD_CHECK_MAP",
  0,
  MOCK,
);
export const mapCheckRefused = ioctlEnded(
  "mock-check-map-refused",
  "a page table did not hold what is not mapped",
  "IOMMU_TEST_OP_MD_CHECK_MAP",
  "EINVAL",
  MOCK,
);
export const pinsCounted = ioctlEnded("mock-check-refs", "pins were counted", "IOMMU_TEST_OP_MD_CHECK_REFS", 0, MOCK);
export const accessPinned = ioctlEnded("access-pin", "an access pinned pages", "IOMMU_TEST_OP_ACCESS_PAGES", 0, MOCK);
export const accessGap = ioctlEnded(
  "access-gap",
  "an access could not pin what is not mapped",
  "IOMMU_TEST_OP_ACCESS_PAGES",
  "ENOENT",
  MOCK,
);
export const accessUnpinned = ioctlEnded(
  "access-unpin",
  "an access gave pages back",
  "IOMMU_TEST_OP_DESTROY_ACCESS_PAGES",
  0,
  MOCK,
);
export const accessMoved = ioctlEnded("access-rw", "an access read or wrote", "IOMMU_TEST_OP_ACCESS_RW", 0, MOCK);
export const accessReplaced = ioctlEnded(
  "access-replace",
  "an access changed its IOAS",
  "IOMMU_TEST_OP_ACCESS_REPLACE_IOAS",
  0,
  { ...MOCK, since: "6.6" },
);
