/** Goals about drivers: ids that come and go, functions that look for a driver, and the auxiliary bus. */
import { MANAGED_VFIO } from "../../model/driver-core/auxiliary.ts";
import type { Attribute } from "../../model/program.ts";
import { type Errno, errnoCode } from "../../model/uapi/errno.ts";
import type { Goal } from "../coverage.ts";

/** A write to an attribute of a driver or the bus that ended like this: well, or in an errno. */
function wrote(id: string, title: string, kind: Attribute["kind"], ending: "ok" | Errno): Goal {
  return {
    id,
    title,
    reached: (call, { ret }) =>
      call.op === "sysfs-write" &&
      call.attribute.kind === kind &&
      (ending === "ok" ? ret > 0 : ret === -errnoCode(ending)),
  };
}

export const DRIVER_ID_GOALS: readonly Goal[] = [
  wrote("id-added", "a driver got an id", "new_id", "ok"),
  wrote("id-known", "an id was refused because the driver has it", "new_id", "EEXIST"),
  wrote("id-removed", "an id was taken from a driver", "remove_id", "ok"),
  wrote("id-unknown", "an id could not be taken from a driver that does not have it", "remove_id", "ENODEV"),
  wrote("driver-looked-for", "a function looked for a driver", "pci-bus", "ok"),
];

export const AUXILIARY_GOALS: readonly Goal[] = [
  {
    id: "auxiliary-there",
    title: "a manager had a device of the auxiliary bus for what it manages",
    reached: (call, { ret }) => call.op === "probe" && call.probe.kind === "auxiliaries" && ret > 0,
  },
  {
    id: "managed-vfio",
    title: "a function that is managed became a VFIO device",
    reached: (call, { ret }) =>
      call.op === "sysfs-write" && call.attribute.kind === "bind" && call.attribute.driver === MANAGED_VFIO && ret > 0,
  },
  wrote("auxiliary-bound", "a device of the auxiliary bus was bound or unbound", "aux-driver", "ok"),
];
