/** Groups: /dev/vfio/N. Beside drivers/vfio/group.c. */
import type { IommuGroup } from "../iommu/group.ts";
import { IommufdFile } from "../iommufd/main.ts";
import type { IommufdContext } from "../iommufd/objects.ts";
import { clauses, must, refuse } from "../kernel/clause.ts";
import { File } from "../kernel/file.ts";
import { type Argument, type Ioctl, ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { Operation } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import type { Vm } from "../kvm/kvm.ts";
import { field, layout, offsetOfEnd } from "../uapi/layout.ts";
import { type Container, ContainerFile } from "./container.ts";
import { DeviceFile, type VfioDevice } from "./device.ts";

const source = (name: string) => `drivers/vfio/group.c:${name}`;

export const rule = clauses({
  "VFIO-GROUP-OPEN-1": {
    rule: "a group can't be opened while one of its devices is bound through its own node",
    errno: "EBUSY",
    source: source("vfio_group_fops_open"),
    since: "6.6",
  },
  "VFIO-GROUP-OPEN-2": {
    rule: "a group can be open once only",
    errno: "EBUSY",
    source: source("vfio_group_fops_open"),
  },
  "VFIO-GROUP-BLOCK-1": {
    rule: "a device can't be bound through its own node while its group is open",
    errno: "EBUSY",
    source: source("vfio_device_block_group"),
    since: "6.6",
  },
  "VFIO-GROUP-STATUS-1": {
    rule: "the struct must be readable",
    errno: "EFAULT",
    source: source("vfio_group_ioctl_get_status"),
  },
  "VFIO-GROUP-STATUS-2": {
    rule: "argsz must cover flags",
    errno: "EINVAL",
    source: source("vfio_group_ioctl_get_status"),
  },
  "VFIO-GROUP-STATUS-3": {
    rule: "a group whose last device left has no status",
    errno: "ENODEV",
    source: source("vfio_group_ioctl_get_status"),
  },
  "VFIO-GROUP-STATUS-4": {
    rule: "the struct must be writable",
    errno: "EFAULT",
    source: source("vfio_group_ioctl_get_status"),
  },
  "VFIO-GROUP-STATUS-5": {
    rule: "a group with a container or an iommufd is viable and says that it has one",
    source: "include/uapi/linux/vfio.h:VFIO_GROUP_GET_STATUS",
    observable: "output",
  },
  "VFIO-GROUP-STATUS-6": {
    rule: "a group without container is viable when nobody owns its DMA",
    source: "include/uapi/linux/vfio.h:VFIO_GROUP_FLAGS_VIABLE",
    observable: "output",
  },
  "VFIO-GROUP-STATUS-7": {
    rule: "a group without container is not viable while anybody owns its DMA",
    source: "include/uapi/linux/vfio.h:VFIO_GROUP_FLAGS_VIABLE",
    observable: "output",
  },
  "VFIO-GROUP-SETCONT-1": {
    rule: "the pointer to the descriptor must be readable",
    errno: "EFAULT",
    source: source("vfio_group_ioctl_set_container"),
  },
  "VFIO-GROUP-SETCONT-2": {
    rule: "the descriptor must be open",
    errno: "EBADF",
    source: source("vfio_group_ioctl_set_container"),
  },
  "VFIO-GROUP-SETCONT-3": {
    rule: "a group that has a container or an iommufd can't get another",
    errno: "EINVAL",
    source: source("vfio_group_ioctl_set_container"),
  },
  "VFIO-GROUP-SETCONT-4": {
    rule: "a group whose last device left can't get a container",
    errno: "ENODEV",
    source: source("vfio_group_ioctl_set_container"),
  },
  "VFIO-GROUP-SETCONT-5": {
    rule: "the descriptor must be a container or an iommufd",
    errno: "EBADFD",
    source: source("vfio_group_ioctl_set_container"),
    since: "6.2",
  },
  "VFIO-GROUP-SETCONT-6": {
    rule: "the descriptor must be a container",
    errno: "EINVAL",
    source: "drivers/vfio/vfio_main.c:vfio_group_ioctl_set_container",
    until: "6.1",
  },
  "VFIO-GROUP-SETCONT-7": {
    rule: "an iommufd gets a compatibility IOAS, unless it has one, and the group remembers the iommufd",
    source: source("vfio_group_ioctl_set_container"),
    since: "6.2",
    observable: "later-call",
  },
  "VFIO-GROUP-UNSET-1": {
    rule: "there must be a container or an iommufd to unset",
    errno: "EINVAL",
    source: source("vfio_group_ioctl_unset_container"),
  },
  "VFIO-GROUP-UNSET-2": {
    rule: "a container can't be unset while a device of the group is open",
    errno: "EBUSY",
    source: source("vfio_group_ioctl_unset_container"),
  },
  "VFIO-GROUP-UNSET-3": {
    rule: "after it the group has no container and may get another",
    source: source("vfio_group_ioctl_unset_container"),
    observable: "later-call",
  },
  "VFIO-GROUP-GETFD-1": {
    rule: "the name must be readable",
    errno: "EFAULT",
    source: source("vfio_group_ioctl_get_device_fd"),
  },
  "VFIO-GROUP-GETFD-2": {
    rule: "the name must be that of a device of this group, exactly",
    errno: "ENODEV",
    source: source("vfio_device_get_from_name"),
  },
  "VFIO-GROUP-GETFD-3": {
    rule: "the group must have a container or an iommufd",
    errno: "EINVAL",
    source: source("vfio_df_group_open"),
  },
  "VFIO-GROUP-GETFD-4": {
    rule: "the container must have a backend",
    errno: "EINVAL",
    source: "drivers/vfio/container.c:vfio_group_use_container",
  },
  "VFIO-GROUP-GETFD-5": {
    rule: "the descriptor gives access at once, and any number may be open",
    source: "include/uapi/linux/vfio.h:VFIO_GROUP_GET_DEVICE_FD",
  },
  "VFIO-GROUP-GETFD-6": {
    rule: "opening a device through an iommufd needs its compatibility IOAS",
    errno: "ENODEV",
    source: "drivers/iommu/iommufd/vfio_compat.c:iommufd_vfio_compat_ioas_get_id",
    since: "6.2",
  },
});

const groupLock = new LockClass("group->group_lock");
const deviceLock = new LockClass("group->device_lock");
const kvmRefLock = new LockClass("group->kvm_ref_lock");

/** What kind of DMA isolation stands behind a group. */
export type GroupType = "iommu" | "emulated";

/** struct vfio_group: made with the first VFIO device of an IOMMU group, gone with the last. */
export class VfioGroup {
  /** null once the last device has left; the file may outlive it. */
  iommuGroup: IommuGroup | null;
  readonly type: GroupType;
  readonly devices: VfioDevice[] = [];
  /** Devices of the group that are registered or waiting to be unregistered. */
  drivers = 0;
  openedFile: GroupFile | null = null;
  container: Container | null = null;
  containerUsers = 0;
  iommufd: IommufdContext | null = null;
  cdevDeviceOpenCount = 0;
  /** The VM that kvm-vfio recorded; not counted. */
  kvm: Vm | null = null;
  readonly groupLock = new Lock(groupLock);
  readonly deviceLock = new Lock(deviceLock);
  readonly kvmRefLock = new Lock(kvmRefLock);

  constructor(iommuGroup: IommuGroup, type: GroupType) {
    this.iommuGroup = iommuGroup;
    this.type = type;
  }

  /** The IOMMU group, where the caller knows that a device keeps it. */
  requireIommuGroup(): IommuGroup {
    if (!this.iommuGroup) throw new Error("a group with devices has lost its IOMMU group");
    return this.iommuGroup;
  }

  /** vfio_group_has_iommu */
  get hasIommu(): boolean {
    return this.container !== null || this.iommufd !== null;
  }
}

export class GroupFile extends File {
  readonly kind = "group";
  readonly group: VfioGroup;

  constructor(group: VfioGroup, mode: number) {
    super(mode);
    this.group = group;
  }

  override *ioctl(k: Kernel, command: Ioctl, arg: Argument): Operation<number> {
    switch (command.request) {
      case getStatus.request:
        return yield* getStatus.run(k, this, arg);
      case setContainer.request:
        return yield* setContainer.run(k, this, arg);
      case unsetContainer.request:
        return yield* unsetContainer.run(k, this, arg);
      case getDeviceFd.request:
        return yield* getDeviceFd.run(k, this, arg);
    }
    return refuse(vfsRule["VFS-IOCTL-1"]);
  }

  override release(k: Kernel): Operation<void> {
    return k.group.release(k, this.group);
  }
}

const FLAGS_VIABLE = 1;
const FLAGS_CONTAINER_SET = 2;

const GroupStatus = layout("vfio_group_status", { argsz: field.argsz(), flags: field.out32() });

export const getStatus = ioctl<GroupFile>({
  name: "VFIO_GROUP_GET_STATUS",
  request: vfioRequest(103),
  argument: { kind: "struct", layout: GroupStatus },
  on: ["group"],
  *run(k, file, { block }): Operation<number> {
    const minsz = offsetOfEnd(GroupStatus, "flags");
    block.copyFrom(minsz, rule["VFIO-GROUP-STATUS-1"]);
    must(block.u32(0) >= minsz, rule["VFIO-GROUP-STATUS-2"]);
    const { group } = file;
    let flags = 0;
    {
      using _ = yield* k.lock(group.groupLock);
      must(group.iommuGroup !== null, rule["VFIO-GROUP-STATUS-3"]);
      if (group.hasIommu) {
        flags = FLAGS_VIABLE | FLAGS_CONTAINER_SET;
        k.keeps(rule["VFIO-GROUP-STATUS-5"]);
      } else if (yield* k.iommu.isClaimed(k, group.iommuGroup)) {
        k.keeps(rule["VFIO-GROUP-STATUS-7"]);
      } else {
        flags = FLAGS_VIABLE;
        k.keeps(rule["VFIO-GROUP-STATUS-6"]);
      }
    }
    must(block.canWrite(minsz), rule["VFIO-GROUP-STATUS-4"]);
    block.put(4, 4, flags, rule["VFIO-GROUP-STATUS-4"]);
    return 0;
  },
});

const ContainerFd = layout("int", { fd: field.fd("container", "iommufd") });

export const setContainer = ioctl<GroupFile>({
  name: "VFIO_GROUP_SET_CONTAINER",
  request: vfioRequest(104),
  argument: { kind: "struct", layout: ContainerFd },
  on: ["group"],
  weight: 2,
  useful: (_k, { group }) => !group.hasIommu,
  *run(k, file, { block }): Operation<number> {
    block.copyFrom(4, rule["VFIO-GROUP-SETCONT-1"]);
    const other = k.fds.get(block.s32(0));
    must(other !== undefined, rule["VFIO-GROUP-SETCONT-2"]);
    const { group } = file;
    using _ = yield* k.lock(group.groupLock);
    must(!group.hasIommu, rule["VFIO-GROUP-SETCONT-3"]);
    must(group.iommuGroup !== null, rule["VFIO-GROUP-SETCONT-4"]);
    if (other instanceof ContainerFile) {
      yield* k.container.attachGroup(k, other.container, group);
    } else if (other instanceof IommufdFile) {
      yield* k.iommufd.compatIoasCreate(k, other.context);
      other.context.refs++;
      group.iommufd = other.context;
      k.keeps(rule["VFIO-GROUP-SETCONT-7"]);
    } else {
      refuse(k.since("6.2") ? rule["VFIO-GROUP-SETCONT-5"] : rule["VFIO-GROUP-SETCONT-6"]);
    }
    return 0;
  },
});

export const unsetContainer = ioctl<GroupFile>({
  name: "VFIO_GROUP_UNSET_CONTAINER",
  request: vfioRequest(105),
  argument: { kind: "none" },
  on: ["group"],
  weight: 0.7,
  useful: (_k, { group }) => group.hasIommu,
  *run(k, file): Operation<number> {
    yield* k.group.unsetContainer(k, file.group);
    return 0;
  },
});

export const getDeviceFd = ioctl<GroupFile>({
  name: "VFIO_GROUP_GET_DEVICE_FD",
  request: vfioRequest(106),
  argument: { kind: "name" },
  on: ["group"],
  returns: "device",
  weight: 2,
  useful: (_k, { group }) => group.iommufd !== null || (group.container !== null && group.container.iommu !== null),
  *run(k, file, { block }): Operation<number> {
    block.copyFrom(block.length, rule["VFIO-GROUP-GETFD-1"]);
    const end = block.bytes.indexOf(0);
    const name = String.fromCharCode(...block.bytes.subarray(0, end < 0 ? block.length : end));
    const device = yield* k.group.deviceFromName(k, file.group, name);
    device.registrations++;
    const opened = new DeviceFile(device, file.group, 2);
    try {
      yield* k.group.openDevice(k, opened);
    } catch (refusal) {
      device.registrations--;
      throw refusal;
    }
    k.keeps(rule["VFIO-GROUP-GETFD-5"]);
    return k.installFd({ at: "return" }, opened);
  },
});

export const steps = {
  /** vfio_group_fops_open */
  *open(k: Kernel, group: VfioGroup, mode: number): Operation<GroupFile> {
    using _ = yield* k.lock(group.groupLock);
    must(group.cdevDeviceOpenCount === 0, rule["VFIO-GROUP-OPEN-1"]);
    must(group.openedFile === null, rule["VFIO-GROUP-OPEN-2"]);
    const file = new GroupFile(group, mode);
    group.openedFile = file;
    return file;
  },

  /** vfio_group_fops_release */
  *release(k: Kernel, group: VfioGroup): Operation<void> {
    using _ = yield* k.lock(group.groupLock);
    if (group.container) yield* k.container.detachGroup(k, group);
    if (group.iommufd) k.iommufd.put(k, group.iommufd);
    group.iommufd = null;
    group.openedFile = null;
  },

  /** vfio_group_ioctl_unset_container */
  *unsetContainer(k: Kernel, group: VfioGroup): Operation<void> {
    using _ = yield* k.lock(group.groupLock);
    must(group.hasIommu, rule["VFIO-GROUP-UNSET-1"]);
    if (group.container) {
      must(group.containerUsers === 1, rule["VFIO-GROUP-UNSET-2"]);
      yield* k.container.detachGroup(k, group);
    }
    if (group.iommufd) k.iommufd.put(k, group.iommufd);
    group.iommufd = null;
    k.keeps(rule["VFIO-GROUP-UNSET-3"]);
  },

  /** vfio_device_get_from_name */
  *deviceFromName(k: Kernel, group: VfioGroup, name: string): Operation<VfioDevice> {
    using _ = yield* k.lock(group.deviceLock);
    const device = group.devices.find((candidate) => candidate.name === name);
    must(device !== undefined, rule["VFIO-GROUP-GETFD-2"]);
    return device;
  },

  /** vfio_df_group_open */
  *openDevice(k: Kernel, file: DeviceFile): Operation<void> {
    const { device } = file;
    const { group } = device;
    using _ = yield* k.lock(group.groupLock);
    must(group.hasIommu, rule["VFIO-GROUP-GETFD-3"]);
    using _set = yield* k.lock(device.devSet.lock);
    if (!k.since("6.2")) {
      // 6.1 looks at the container, and counts a user of it, for every open.
      must(group.container !== null && group.container.iommu !== null, rule["VFIO-GROUP-GETFD-4"]);
    }
    if (device.openCount === 0) yield* k.group.getKvmSafe(k, device);
    file.iommufd = group.iommufd;
    try {
      yield* k.vfio.open(k, file);
      if (file.iommufd && device.openCount === 1) {
        try {
          const ioas = file.iommufd.compatIoas;
          must(ioas !== null, rule["VFIO-GROUP-GETFD-6"]);
          yield* k.vfioIommufd.attach(k, device, ioas.id, null);
        } catch (refusal) {
          yield* k.vfio.close(k, file);
          throw refusal;
        }
      }
    } catch (refusal) {
      file.iommufd = null;
      if (device.openCount === 0) k.vfio.putKvm(k, device);
      throw refusal;
    }
    if (!k.since("6.2") && device.openCount > 1) k.group.useContainer(group);
    file.accessGranted = true;
  },

  /** vfio_df_group_close */
  *closeDevice(k: Kernel, file: DeviceFile): Operation<void> {
    const { device } = file;
    using _ = yield* k.lock(device.group.groupLock);
    using _set = yield* k.lock(device.devSet.lock);
    const more = device.openCount > 1;
    yield* k.vfio.close(k, file);
    if (!k.since("6.2") && more) k.group.unuseContainer(k, device.group);
    file.iommufd = null;
    if (device.openCount === 0) k.vfio.putKvm(k, device);
  },

  /** vfio_group_use_container: an open device keeps the group's file, and with it the container. */
  useContainer(group: VfioGroup): void {
    if (group.openedFile) group.openedFile.refs++;
    group.containerUsers++;
  },

  /** vfio_group_unuse_container */
  unuseContainer(k: Kernel, group: VfioGroup): void {
    group.containerUsers--;
    if (group.openedFile) k.putFile(group.openedFile);
  },

  /** vfio_device_group_get_kvm_safe */
  *getKvmSafe(k: Kernel, device: VfioDevice): Operation<void> {
    // Before 6.3 the device only copies the pointer, and no lock of its own guards it.
    if (!k.since("6.3")) return;
    using _ = yield* k.lock(device.group.kvmRefLock);
    k.vfio.getKvm(k, device, device.group.kvm);
  },

  /** vfio_device_block_group: keeps the group from being opened while a device is bound through its node. */
  *block(k: Kernel, group: VfioGroup): Operation<void> {
    using _ = yield* k.lock(group.groupLock);
    must(group.openedFile === null, rule["VFIO-GROUP-BLOCK-1"]);
    group.cdevDeviceOpenCount++;
  },

  /** vfio_device_unblock_group */
  *unblock(k: Kernel, group: VfioGroup): Operation<void> {
    using _ = yield* k.lock(group.groupLock);
    group.cdevDeviceOpenCount--;
  },

  /** vfio_device_remove_group: the last device of the group leaves. */
  *removeDevice(k: Kernel, group: VfioGroup): Operation<void> {
    group.drivers--;
    if (group.drivers > 0) return;
    using _ = yield* k.lock(group.groupLock);
    if (group.container) yield* k.container.detachGroup(k, group);
    group.iommuGroup = null;
  },
};
