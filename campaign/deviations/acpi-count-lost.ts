/**
 * Opening a PCI function for the first time, closing it for the last, and binding it to a driver or unbinding it asks ACPI
 * for its interrupt or its power. ACPI's interpreter loses count of the references to an object where it runs out of memory,
 * and the next that uses the object meets what was freed.
 */

import type { Strike } from "../../model/kernel/alloc.ts";
import { DeviceFile } from "../../model/vfio/device.ts";
import { GroupFile } from "../../model/vfio/group.ts";
import type { Deviation } from "./deviation.ts";
import { ruinedWhere } from "./ruined-where.ts";

const ID = "acpi-count-lost";
/** Allocations that come before those that ACPI does not survive: so many behind a root port, which is woken first. */
const HARMLESS = 6;

function reachesAcpi({ call, file }: Strike): boolean {
  const functionOpen = file instanceof DeviceFile && file.device.backing.kind === "pci";
  if (call.op === "close") return functionOpen;
  if ((call.failNth ?? 0) <= HARMLESS) return false;
  if (call.op === "sysfs-write") return call.attribute.kind === "bind" || call.attribute.kind === "unbind";
  if (call.op !== "ioctl") return false;
  if (call.request === "VFIO_DEVICE_BIND_IOMMUFD") return functionOpen;
  return call.request === "VFIO_GROUP_GET_DEVICE_FD" && file instanceof GroupFile && file.group.type !== "emulated";
}

export const acpiCountLost: Deviation = {
  id: ID,
  title:
    "the first open or last close of a PCI function that runs out of memory inside of ACPI leaves an object that is used after it was freed",
  clause: "ALLOC-1",
  since: "6.1",
  source: "drivers/acpi/acpica/utdelete.c:acpi_ut_update_object_reference",
  upstream: "searched, none found",
  evidence: ID,
  destructive: true,
  apply(k) {
    ruinedWhere(k, ID, "what this kernel uses after it was freed", (_, strike) => reachesAcpi(strike));
  },
};
