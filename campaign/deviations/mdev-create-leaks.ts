/**
 * A mediated device for which there is no memory has taken an instance of its parent by then, and nothing gives it back:
 * the core counts it down first. It is missing until the driver is loaded anew.
 */
import type { Kernel } from "../../model/kernel/kernel.ts";
import type { Call } from "../../model/program.ts";
import type { Deviation } from "./deviation.ts";
import { ruinedWhere } from "./ruined-where.ts";

const ID = "mdev-create-leaks";
/**
 * Of a write to `create`: sysfs copies the text, and the core takes the UUID from a copy of its own. Where the leak detector is on,
 * each of these is followed by one of the detector's own.
 */
const DEVICE_ALLOCATION: ReadonlySet<number | undefined> = new Set([3, 5]);

function leaks(k: Kernel, call: Call): boolean {
  if (!DEVICE_ALLOCATION.has(call.failNth) || call.op !== "sysfs-write" || call.attribute.kind !== "mdev-create") {
    return false;
  }
  const { parent: name } = call.attribute;
  const parent = k.mdevParents.find((candidate) => candidate.name === name);
  return parent?.driver.countedBy === "core" && parent.free > 0;
}

export const mdevCreateLeaks: Deviation = {
  id: ID,
  title: "a mediated device that can't be made for want of memory leaves its parent with an instance less, for good",
  clause: "ALLOC-1",
  since: "6.1",
  source: "drivers/vfio/mdev/mdev_core.c:mdev_device_create",
  upstream: "searched, none found",
  evidence: ID,
  destructive: true,
  apply(k) {
    ruinedWhere(k, ID, "the instance that this kernel loses next", (kernel, { call }) => leaks(kernel, call));
  },
};
