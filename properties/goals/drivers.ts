/** Goals about drivers of the PCI bus: ids that come and go, and functions that look for a driver. */
import type { Attribute } from "../../model/program.ts";
import { ERRNO, type Errno } from "../../model/uapi/errno.ts";
import type { Goal } from "../coverage.ts";

/** A write to an attribute of a driver or the bus that ended like this: well, or in an errno. */
function wrote(id: string, title: string, kind: Attribute["kind"], ending: "ok" | Errno): Goal {
  return {
    id,
    title,
    reached: (call, { ret }) =>
      call.op === "sysfs-write" && call.attribute.kind === kind && (ending === "ok" ? ret > 0 : ret === -ERRNO[ending]),
  };
}

export const DRIVER_ID_GOALS: readonly Goal[] = [
  wrote("id-added", "a driver got an id", "new_id", "ok"),
  wrote("id-known", "an id was refused because the driver has it", "new_id", "EEXIST"),
  wrote("id-removed", "an id was taken from a driver", "remove_id", "ok"),
  wrote("id-unknown", "an id could not be taken from a driver that does not have it", "remove_id", "ENODEV"),
  wrote("driver-looked-for", "a function looked for a driver", "pci-bus", "ok"),
];
