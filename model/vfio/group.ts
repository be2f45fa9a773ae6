/** Groups: /dev/vfio/N. Beside drivers/vfio/group.c. */
import type { IommuGroup } from "../iommu/group.ts";
import type { IommufdContext } from "../iommufd/objects.ts";
import { clauses, must, refuse } from "../kernel/clause.ts";
import { File } from "../kernel/file.ts";
import { type Argument, dispatch, type Ioctl } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { Operation } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import type { Vm } from "../kvm/kvm.ts";
import type { Container } from "./container.ts";
import type { DeviceFile, VfioDevice } from "./device.ts";
import { groupCommands } from "./group-ioctl.ts";
import { steps as registration } from "./group-registration.ts";
import { rule as vfioRule } from "./vfio-main.ts";

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
  "VFIO-GROUP-OPEN-3": {
    rule: "only a caller with CAP_SYS_RAWIO may open a group that no IOMMU isolates",
    errno: "EPERM",
    kconfig: ["VFIO_NOIOMMU"],
    machine: "noiommu",
    source: source("vfio_group_fops_open"),
  },
  "VFIO-GROUP-BLOCK-1": {
    rule: "a device can't be bound through its own node while its group is open",
    errno: "EBUSY",
    source: source("vfio_device_block_group"),
    since: "6.6",
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
  "VFIO-GROUP-GETFD-2": {
    rule: "the name must be that of a device of this group, exactly, unless the device's driver takes options behind it",
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
  "VFIO-GROUP-GETFD-6": {
    rule: "opening a device through an iommufd needs its compatibility IOAS",
    errno: "ENODEV",
    source: "drivers/iommu/iommufd/vfio_compat.c:iommufd_vfio_compat_ioas_get_id",
    since: "6.2",
  },
  "VFIO-GROUP-GETFD-7": {
    rule: "a device without IOMMU can't be opened through an iommufd with a compatibility IOAS: nothing would translate",
    errno: "EPERM",
    source: source("vfio_df_group_open"),
    since: "6.3",
    kconfig: ["VFIO_NOIOMMU", "IOMMUFD"],
    machine: "noiommu",
  },
  "VFIO-GROUP-GETFD-8": {
    rule: "only a caller with CAP_SYS_RAWIO may open a device without IOMMU, unless it is open",
    errno: "EPERM",
    source: source("vfio_df_group_open"),
    kconfig: ["VFIO_NOIOMMU"],
    machine: "noiommu",
  },
});

const groupLock = new LockClass("group->group_lock");
const deviceLock = new LockClass("group->device_lock");
const kvmRefLock = new LockClass("group->kvm_ref_lock");

/** What kind of DMA isolation stands behind a group. */
export type GroupType = "iommu" | "emulated" | "noiommu";

/**
 * struct vfio_group: made with the first VFIO device of an IOMMU group, gone with the last. In a kernel without
 * VFIO_GROUP it stands for nothing, has no IOMMU group, and nobody can open it.
 */
export class VfioGroup {
  /** null once the last device has left; the file may outlive it. */
  iommuGroup: IommuGroup | null;
  readonly type: GroupType;
  readonly devices: VfioDevice[] = [];
  /** Devices that are being taken away and are still open. */
  readonly leaving: VfioDevice[] = [];
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

  constructor(iommuGroup: IommuGroup | null, type: GroupType) {
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

  override ioctl(k: Kernel, command: Ioctl, arg: Argument): Operation<number> {
    return dispatch(groupCommands, k, this, command, arg) ?? refuse(vfsRule["VFS-IOCTL-1"]);
  }

  override release(k: Kernel): Operation<void> {
    return k.group.release(k, this.group);
  }
}

export const steps = {
  ...registration,

  /** vfio_create_group */
  make(iommuGroup: IommuGroup | null, type: GroupType): VfioGroup {
    return new VfioGroup(iommuGroup, type);
  },

  /** vfio_group_fops_open */
  *open(k: Kernel, group: VfioGroup, mode: number): Operation<GroupFile> {
    using _ = yield* k.lock(group.groupLock);
    must(group.type !== "noiommu" || k.noiommu.permitted(k), rule["VFIO-GROUP-OPEN-3"]);
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
    // Newest first, as the kernel's list is; a driver may refuse what stands behind its device's name.
    const device = group.devices.findLast(({ ops, name: own }) => (ops.match ? ops.match(k, own, name) : own === name));
    if (device) return device;
    const leaves = group.leaving.some(({ name: own }) => own === name);
    return refuse(leaves ? vfioRule["VFIO-DEV-LEAVE-4"] : rule["VFIO-GROUP-GETFD-2"]);
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
      k.group.mayUseContainer(k, group);
    }
    if (device.openCount === 0) yield* k.group.getKvmSafe(k, device);
    file.iommufd = group.iommufd;
    try {
      if (file.iommufd && group.type === "noiommu" && device.openCount === 0) {
        must(k.noiommu.permitted(k), rule["VFIO-GROUP-GETFD-8"]);
        must(file.iommufd.compatIoas === null, rule["VFIO-GROUP-GETFD-7"]);
      }
      yield* k.vfio.open(k, file);
      if (file.iommufd && device.openCount === 1) {
        try {
          yield* k.vfioIommufd.attachCompat(k, device, file.iommufd);
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

  /** The end of vfio_device_open_file: the open device gets a file that descriptors can name, or is closed again. */
  *makeFile(k: Kernel, file: DeviceFile): Operation<void> {
    try {
      k.alloc();
    } catch (refusal) {
      yield* k.group.closeDevice(k, file);
      throw refusal;
    }
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

  /** What vfio_group_use_container asks: a backend, and CAP_SYS_RAWIO where that is none. */
  mayUseContainer(k: Kernel, group: VfioGroup): void {
    must(group.container !== null && group.container.driver !== null, rule["VFIO-GROUP-GETFD-4"]);
    must(group.type !== "noiommu" || k.noiommu.permitted(k), rule["VFIO-GROUP-GETFD-8"]);
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
    if (!k.has("VFIO_GROUP")) return;
    using _ = yield* k.lock(group.groupLock);
    must(group.openedFile === null, rule["VFIO-GROUP-BLOCK-1"]);
    group.cdevDeviceOpenCount++;
  },

  /** vfio_device_unblock_group */
  *unblock(k: Kernel, group: VfioGroup): Operation<void> {
    if (!k.has("VFIO_GROUP")) return;
    using _ = yield* k.lock(group.groupLock);
    group.cdevDeviceOpenCount--;
  },
};
