/**
 * A group drops its iommufd while a device is open, and gets a container: the device's last close then undoes what its
 * first open did not do.
 */
import { type Deviation, Ruined } from "./deviation.ts";

export const groupChangesBackend: Deviation = {
  id: "group-changes-backend",
  title:
    "a device that was opened through a group's iommufd and again through its container is closed as if only the container had opened it: the group's file is put once too often",
  clause: "references-balance",
  since: "6.2",
  source: "drivers/vfio/vfio_main.c:vfio_df_device_last_close",
  upstream: "searched, none found",
  evidence: "group-changes-backend",
  destructive: true,
  apply(k) {
    const right = k.group.openDevice;
    k.group = {
      ...k.group,
      *openDevice(kernel, file) {
        const { device, group } = file;
        if (device.openedWith === "iommufd" && group?.container) {
          throw new Ruined("what this kernel does to its memory next", "group-changes-backend");
        }
        yield* right(kernel, file);
      },
    };
  },
};
