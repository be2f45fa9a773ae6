/** Goals about the ways to a device: groups and containers, its own node, hot resets and drivers. */
import { ERRNO } from "../../model/uapi/errno.ts";
import { EXTENSION } from "../../model/vfio/type1.ts";
import type { Goal } from "../coverage.ts";
import { ioctlEnded } from "./ended.ts";
import { CDEV, CONTAINER, GROUP } from "./needs.ts";

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
export const groupBusyByCdev: Goal = {
  id: "group-busy",
  title: "a group could not be opened because it is open, or a device of it bound",
  needs: GROUP,
  reached: (call, { ret }) => call.op === "open" && call.node.kind === "group" && ret === -ERRNO.EBUSY,
};
export const hotResetDone = ioctlEnded("hot-reset", "a hot reset succeeded", "VFIO_DEVICE_PCI_HOT_RESET", 0);
export const hotResetRefused = ioctlEnded(
  "hot-reset-not-owned",
  "a hot reset was refused because the caller does not own all that it hits",
  "VFIO_DEVICE_PCI_HOT_RESET",
  "EINVAL",
);
export const rebound: Goal = {
  id: "bind-driver",
  title: "a function was bound to a driver",
  reached: (call, { ret }) => call.op === "sysfs-write" && call.attribute.kind === "bind" && ret > 0,
};
