/**
 * A device is registered although there was no memory for its device set: what vfio_assign_device_set() returns is not looked
 * at for drivers that leave the set to VFIO. Opening the device takes the lock of a set that is not there.
 */
import type { Deviation } from "./deviation.ts";
import { ruinedWhere } from "./ruined-where.ts";

const ID = "dev-set-missing";

export const devSetMissing: Deviation = {
  id: ID,
  title:
    "a mediated device that is made while memory is short may have no device set; opening it follows a null pointer",
  clause: "ALLOC-1",
  since: "6.1",
  source: "drivers/vfio/vfio_main.c:__vfio_register_dev",
  upstream: "searched, none found",
  evidence: ID,
  log: /NULL pointer dereference|null-ptr-deref/,
  destructive: true,
  perhaps: true,
  apply(k) {
    ruinedWhere(k, ID, "which device sets this kernel has made", (_, { call, seen }) => {
      return (
        call.op === "sysfs-write" && call.attribute.kind === "mdev-create" && seen !== undefined && !seen.refusedBy
      );
    });
  },
};
