/** Calls as scenarios write them: one function for each thing that a user of VFIO does. */
import { ioctl, ioctlValue } from "../model/ioctl-calls.ts";
import { MEMORY } from "../model/kernel/memory-map.ts";
import type { Call, Node, Place, Value } from "../model/program.ts";
import { FEATURE, FEATURE_INDEX } from "../model/vfio/feature.ts";

export { ioctl, ioctlValue };

const open = (node: Node, as: string): Call => ({ op: "open", node, as });

export const openContainer = (as = "@container"): Call => open({ kind: "container" }, as);
export const openIommufd = (as = "@iommufd"): Call => open({ kind: "iommufd" }, as);
export const openKvm = (as = "@kvm"): Call => open({ kind: "kvm" }, as);
export const openGroup = (device: string, as = "@group"): Call => open({ kind: "group", device }, as);
/** The device's own node. */
export const openCdev = (device: string, as = "@device"): Call => open({ kind: "cdev", device }, as);
export const close = (fd: Value): Call => ({ op: "close", fd });
export const dup = (fd: Value, as: string): Call => ({ op: "dup", fd, as });

export const getStatus = (group: Value): Call => ioctl(group, "VFIO_GROUP_GET_STATUS", { argsz: 8 });
/** Gives a group a container, or an iommufd in place of one. */
export const setContainer = (group: Value, container: Value): Call =>
  ioctl(group, "VFIO_GROUP_SET_CONTAINER", { fd: container });
export const unsetContainer = (group: Value): Call => ioctlValue(group, "VFIO_GROUP_UNSET_CONTAINER");

const VFIO_TYPE1v2_IOMMU = 3;
export const setIommu = (container: Value, type = VFIO_TYPE1v2_IOMMU): Call =>
  ioctlValue(container, "VFIO_SET_IOMMU", type);

export const getDeviceFd = (group: Value, device: string, as = "@device"): Call => ({
  op: "ioctl",
  fd: group,
  request: "VFIO_GROUP_GET_DEVICE_FD",
  arg: { kind: "name", device },
  as,
});

/** Asks for a device by its name with something behind it, or by a name that is no device's. */
export const getDeviceFdBy = (group: Value, name: { readonly device?: string; readonly text: string }): Call => ({
  op: "ioctl",
  fd: group,
  request: "VFIO_GROUP_GET_DEVICE_FD",
  arg: { kind: "name", ...name },
  as: "@nothing",
});

export const checkExtension = (container: Value, extension: number): Call =>
  ioctlValue(container, "VFIO_CHECK_EXTENSION", extension);

/** A container with a backend, and the group of a device in it. */
export const containerOf = (device: string): readonly Call[] => [
  openContainer(),
  openGroup(device),
  setContainer("@group", "@container"),
  setIommu("@container"),
];
/** A device that is open through its group and a container. */
export const throughContainer = (device: string): readonly Call[] => [
  ...containerOf(device),
  getDeviceFd("@group", device),
];

export const getInfo = (device: Value): Call => ioctl(device, "VFIO_DEVICE_GET_INFO", { argsz: 16 });
export const getRegionInfo = (device: Value, index: number): Call =>
  ioctl(device, "VFIO_DEVICE_GET_REGION_INFO", { argsz: 32, index });

export const bind = (device: Value, iommufd: Value, devid = "@devid"): Call =>
  ioctl(device, "VFIO_DEVICE_BIND_IOMMUFD", { argsz: 16, iommufd }, { binds: { out_devid: devid } });

/** Opens a device that is there through its own node. */
export const throughNode = (device: string): readonly Call[] => [
  openIommufd(),
  openCdev(device),
  bind("@device", "@iommufd"),
];

/** Attaches to an IOAS; pt_id brings the page table that was taken. */
export const attach = (device: Value, ioas: Value, hwpt = "@hwpt"): Call =>
  ioctl(device, "VFIO_DEVICE_ATTACH_IOMMUFD_PT", { argsz: 12, pt_id: ioas }, { binds: { pt_id: hwpt } });
const ATTACH_PASID = 1;
/** Attaches a PASID of the device. */
export const attachPasid = (device: Value, ioas: Value, pasid: number, hwpt = "@pasid-hwpt"): Call =>
  ioctl(
    device,
    "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
    { argsz: 16, flags: ATTACH_PASID, pt_id: ioas, pasid },
    { binds: { pt_id: hwpt } },
  );
export const detachPasid = (device: Value, pasid: number): Call =>
  ioctl(device, "VFIO_DEVICE_DETACH_IOMMUFD_PT", { argsz: 12, flags: ATTACH_PASID, pasid });
export const detach = (device: Value): Call => ioctl(device, "VFIO_DEVICE_DETACH_IOMMUFD_PT", { argsz: 8 });

export const allocIoas = (iommufd: Value, ioas = "@ioas"): Call =>
  ioctl(iommufd, "IOMMU_IOAS_ALLOC", { size: 12 }, { binds: { out_ioas_id: ioas } });
export const destroy = (iommufd: Value, id: Value): Call => ioctl(iommufd, "IOMMU_DESTROY", { size: 8, id });

/** Asks for the IOAS that VFIO's own commands act on. */
export const getCompatIoas = (iommufd: Value, ioas = "@compat"): Call =>
  ioctl(iommufd, "IOMMU_VFIO_IOAS", { size: 12, op: 0 }, { binds: { ioas_id: ioas } });
/** Makes another IOAS the one that VFIO's own commands act on. */
export const setCompatIoas = (iommufd: Value, ioas: Value): Call =>
  ioctl(iommufd, "IOMMU_VFIO_IOAS", { size: 12, op: 1, ioas_id: ioas });
export const clearCompatIoas = (iommufd: Value): Call => ioctl(iommufd, "IOMMU_VFIO_IOAS", { size: 12, op: 2 });

/** What the process has pinned through iommufd, in KiB. */
export const pinned: Call = { op: "probe", probe: { kind: "pinned" } };
export const locked: Call = { op: "probe", probe: { kind: "locked" } };

const MAP_FIXED_READ_WRITE = 7;
/** Maps plain memory at a fixed address. */
export const map = (iommufd: Value, ioas: Value, iova: number, length: number, place?: Place): Call =>
  ioctl(
    iommufd,
    "IOMMU_IOAS_MAP",
    { size: 40, flags: MAP_FIXED_READ_WRITE, ioas_id: ioas, user_va: MEMORY.user, length, iova },
    place === undefined ? {} : { place },
  );
export const unmap = (iommufd: Value, ioas: Value, iova: number, length: Value, place?: Place): Call =>
  ioctl(iommufd, "IOMMU_IOAS_UNMAP", { size: 24, ioas_id: ioas, iova, length }, place === undefined ? {} : { place });

const HOT_RESET_HEADER = 12;
/** Asks what a hot reset hits, with room for so many functions. */
export const hotResetInfo = (device: Value, room: number, place?: Place): Call =>
  ioctl(
    device,
    "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO",
    { argsz: HOT_RESET_HEADER + 8 * room, devices: Array.from({ length: room }, () => 0) },
    place === undefined ? {} : { place },
  );
/** Hot reset; ownership is shown by descriptors of groups, or without any by the iommufd. */
export const hotReset = (device: Value, ...groups: readonly Value[]): Call =>
  ioctl(device, "VFIO_DEVICE_PCI_HOT_RESET", {
    argsz: HOT_RESET_HEADER + 4 * groups.length,
    count: groups.length,
    group_fds: groups,
  });

export const createVm = (kvm: Value = "@kvm", as = "@vm"): Call => ({
  op: "ioctl",
  fd: kvm,
  request: "KVM_CREATE_VM",
  arg: { kind: "value", value: 0 },
  as,
});
const KVM_DEV_TYPE_VFIO = 4;
export const createKvmVfio = (vm: Value = "@vm", as = "@kvm-vfio"): Call =>
  ioctl(vm, "KVM_CREATE_DEVICE", { type: KVM_DEV_TYPE_VFIO }, { binds: { fd: as } });

/** Asks whether such a device can be made, and makes none. */
export const testKvmVfio = (vm: Value = "@vm"): Call =>
  ioctl(vm, "KVM_CREATE_DEVICE", { type: KVM_DEV_TYPE_VFIO, flags: 1 });

const KVM_DEV_VFIO_FILE = 1;
const setFile = (kvmVfio: Value, attr: number, file: Value): Call =>
  ioctl(kvmVfio, "KVM_SET_DEVICE_ATTR", { group: KVM_DEV_VFIO_FILE, attr, addr: { fields: { fd: file } } });
/** Whether an attribute is there: 1 adds a file, 2 removes one. */
export const hasFileAttribute = (kvmVfio: Value, attr: number): Call =>
  ioctl(kvmVfio, "KVM_HAS_DEVICE_ATTR", { group: KVM_DEV_VFIO_FILE, attr });
/** Tells a VM of a VFIO file, and has it forget one. */
export const addFile = (kvmVfio: Value, file: Value): Call => setFile(kvmVfio, 1, file);
export const removeFile = (kvmVfio: Value, file: Value): Call => setFile(kvmVfio, 2, file);
/** How many VMs are alive. */
export const countVms: Call = { op: "probe", probe: { kind: "vms" } };

/** Makes a mediated device: a serial card with one port. */
export const createMdev = (device = "mdev0"): Call => ({
  op: "sysfs-write",
  attribute: { kind: "mdev-create", parent: "mtty", type: "mtty-1" },
  text: { device },
});
export const removeMdev = (device = "mdev0"): Call => ({
  op: "sysfs-write",
  attribute: { kind: "mdev-remove", device },
  text: { text: "1" },
});

export const overrideDriver = (device: string, text: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "driver_override", device },
  text: { text },
});
export const bindDriver = (driver: string, device: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "bind", driver },
  text: { device },
});
export const unbindDriver = (driver: string, device: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "unbind", driver },
  text: { device },
});

/** Adds an id to a driver: `8086 10d3`, and more if need be. */
export const addId = (driver: string, text: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "new_id", driver },
  text: { text },
});
export const removeId = (driver: string, text: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "remove_id", driver },
  text: { text },
});
/** Has a function look for a driver. */
export const probeDrivers = (device: string): Call => ({
  op: "sysfs-write",
  attribute: { kind: "pci-bus", file: "drivers_probe" },
  text: { device },
});
/** Which driver a function has; ENOENT where it has none. */
export const driverOf = (device: string): Call => ({ op: "probe", probe: { kind: "driver", device } });

/** How many bytes a call moves, and where. */
interface Transferred {
  readonly count: number;
  readonly offset?: number;
}

/** Reads from the position that a file is at, or from an offset. */
export const read = (fd: Value, { count, offset }: Transferred, into?: string): Call => {
  const kept = into === undefined ? {} : { into };
  return offset === undefined ? { op: "read", fd, count, ...kept } : { op: "pread", fd, count, offset, ...kept };
};
/** Writes bytes at the position that a file is at, or at an offset. */
export const write = (fd: Value, bytes: readonly number[], offset?: number): Call =>
  offset === undefined
    ? { op: "write", fd, count: bytes.length, bytes }
    : { op: "pwrite", fd, count: bytes.length, offset, bytes };
/** Writes what was read elsewhere. */
export const writeFrom = (fd: Value, from: string, count: number): Call => ({ op: "write", fd, count, from });

/** Asks what can be done with a file now: the bits of revents. */
export const poll = (fd: Value): Call => ({ op: "poll", fd });

export const openEventfd = (as = "@eventfd"): Call => ({ op: "eventfd", as });
const IRQ_SET_HEADER = 20;
/** Sets interrupts; `flags` says what, and of what kind the data is. */
export const setIrqs = (
  device: Value,
  flags: number,
  count: number,
  data: readonly Value[] = [],
  place?: Place,
): Call =>
  ioctl(
    device,
    "VFIO_DEVICE_SET_IRQS",
    { argsz: IRQ_SET_HEADER + 4 * data.length, flags, count, data },
    place === undefined ? {} : { place },
  );
export const getIrqInfo = (device: Value, index: number, flags = 0): Call =>
  ioctl(device, "VFIO_DEVICE_GET_IRQ_INFO", { argsz: 16, index, flags });
export const resetDevice = (device: Value): Call => ioctlValue(device, "VFIO_DEVICE_RESET");

/** Puts a device into a migration state; `session` names the descriptor that may come of it. */
export const setMigrationState = (device: Value, state: number, session = "@migration"): Call =>
  ioctl(
    device,
    "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE",
    { argsz: 16, flags: FEATURE.SET | FEATURE_INDEX.MIG_DEVICE_STATE, device_state: state },
    { binds: { data_fd: session } },
  );
export const getMigrationState = (device: Value): Call =>
  ioctl(device, "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE", {
    argsz: 16,
    flags: FEATURE.GET | FEATURE_INDEX.MIG_DEVICE_STATE,
  });
