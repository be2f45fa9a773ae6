/** The commands of group files. Beside drivers/vfio/group.c:vfio_group_fops_unl_ioctl. */
import { IommufdFile } from "../iommufd/file.ts";
import { clauses, must, refuse } from "../kernel/clause.ts";
import { type Ioctl, ioctl, vfioRequest } from "../kernel/ioctl.ts";
import { BLOCK_SIZE } from "../kernel/memory-map.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import { field, layout, offsetOfEnd } from "../uapi/layout.ts";
import { ContainerFile } from "./container.ts";
import { DeviceFile } from "./device.ts";
import type { GroupFile } from "./group.ts";

const source = (name: string) => `drivers/vfio/group.c:${name}`;

export const rule = clauses({
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
  "VFIO-GROUP-GETFD-1": {
    rule: "the name must be readable",
    errno: "EFAULT",
    source: source("vfio_group_ioctl_get_device_fd"),
  },
  "VFIO-GROUP-GETFD-9": {
    rule: "the name must end within a page",
    errno: "EINVAL",
    source: "mm/util.c:strndup_user",
  },
  "VFIO-GROUP-GETFD-5": {
    rule: "the descriptor gives access at once, and any number may be open",
    source: "include/uapi/linux/vfio.h:VFIO_GROUP_GET_DEVICE_FD",
  },
});

const PAGE_SIZE = 4096;

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
      if (group.type === "noiommu") k.iommufd.setNoIommu(k, other.context);
      else yield* k.iommufd.compatIoasCreate(k, other.context);
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
  useful: (_k, { group }) => group.iommufd !== null || (group.container !== null && group.container.driver !== null),
  *run(k, file, { block }): Operation<number> {
    block.copyFrom(block.length, rule["VFIO-GROUP-GETFD-1"]);
    must(block.textLength < PAGE_SIZE, rule["VFIO-GROUP-GETFD-9"]);
    if (block.textLength >= BLOCK_SIZE) throw new Unmodelled("a device's name of hundreds of characters");
    const end = block.bytes.indexOf(0);
    const name = String.fromCharCode(...block.bytes.subarray(0, end < 0 ? block.length : end));
    const device = yield* k.group.deviceFromName(k, file.group, name);
    device.registrations++;
    const opened = new DeviceFile(device, file.group, 2);
    try {
      k.alloc();
      yield* k.group.openDevice(k, opened);
      yield* k.group.makeFile(k, opened);
    } catch (refusal) {
      device.registrations--;
      throw refusal;
    }
    k.keeps(rule["VFIO-GROUP-GETFD-5"]);
    return k.installFd({ at: "return" }, opened);
  },
});

/** Everything that a group file answers. */
export const groupCommands: readonly Ioctl<GroupFile>[] = [getStatus, setContainer, unsetContainer, getDeviceFd];
