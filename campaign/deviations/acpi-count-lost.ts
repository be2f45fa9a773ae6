/**
 * Opening a PCI function for the first time, closing it for the last (which a VM's end may be, or a mapping's), and binding it to a
 * driver or unbinding it asks ACPI for its interrupt or its power. ACPI's interpreter loses count of the references to an object
 * where it runs out of memory, and the next that uses the object meets what was freed.
 */

import type { Strike } from "../../model/kernel/alloc.ts";
import type { File } from "../../model/kernel/file.ts";
import { VmFile } from "../../model/kvm/kvm.ts";
import { KvmVfioFile } from "../../model/kvm/vfio.ts";
import { DeviceFile } from "../../model/vfio/device.ts";
import { GroupFile } from "../../model/vfio/group.ts";
import type { Deviation } from "./deviation.ts";
import { ruinedWhere } from "./ruined-where.ts";

const ID = "acpi-count-lost";
/** Allocations that come before those that ACPI does not survive, where the fewest do: a bind of a function that is awake. */
const HARMLESS = 5;

const isFunction = (file: File | undefined): boolean =>
  file instanceof DeviceFile && file.device.backing.kind === "pci";

/** Whether a VM holds the file of a function, which its own end, or the list's, then closes for the last time. */
function holdsFunction(file: File | undefined): boolean {
  const vfio = file instanceof KvmVfioFile ? file.kv : file instanceof VmFile ? file.vm.vfio : null;
  return vfio?.files.some(isFunction) ?? false;
}

function reachesAcpi({ call, file }: Strike): boolean {
  const functionOpen = isFunction(file);
  if (call.op === "close") return functionOpen || holdsFunction(file);
  if (call.op === "munmap") return true;
  if ((call.failNth ?? 0) <= HARMLESS) return false;
  if (call.op === "sysfs-write") return call.attribute.kind === "bind" || call.attribute.kind === "unbind";
  if (call.op !== "ioctl") return false;
  if (call.request === "VFIO_DEVICE_BIND_IOMMUFD") return functionOpen;
  if (call.request === "KVM_SET_DEVICE_ATTR") return holdsFunction(file);
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
