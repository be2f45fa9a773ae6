/**
 * A device is made although there is no memory for its node in /dev: the driver core asks for the node and does not look
 * whether it came about.
 */
import type { Deviation } from "./deviation.ts";
import { ruinedWhere } from "./ruined-where.ts";

const ID = "node-missing";

export const nodeMissing: Deviation = {
  id: ID,
  title: "a device that is made while memory is short may have no node, and its maker is not told",
  clause: "ALLOC-1",
  since: "6.1",
  source: "drivers/base/core.c:device_add",
  upstream:
    "asked for in May 2024 and not applied: https://lore.kernel.org/all/2024052221-pulverize-worrisome-37fb@gregkh/",
  evidence: ID,
  destructive: true,
  perhaps: true,
  apply(k) {
    ruinedWhere(k, ID, "which nodes this kernel has made", (_, { call, seen }) => {
      const makes =
        call.op === "sysfs-write" && (call.attribute.kind === "mdev-create" || call.attribute.kind === "bind");
      return makes && seen !== undefined && !seen.refusedBy;
    });
  },
};
