/** Sysfs attributes that programs read and write. */
import { refuse } from "./kernel/clause.ts";
import type { Kernel } from "./kernel/kernel.ts";
import type { Operation } from "./kernel/operation.ts";
import { rule as vfsRule } from "./kernel/vfs.ts";
import type { Attribute, Text } from "./program.ts";
import { busName } from "./topology.ts";

/** write(2) of text to an attribute: the bytes taken. */
export function* writeAttribute(k: Kernel, attribute: Attribute, what: Text): Operation<number> {
  const text = "device" in what ? busName(k.topology, what.device) : what.text;
  switch (attribute.kind) {
    case "driver_override":
      return yield* k.driverCore.writeOverride(k, functionOf(k, attribute.device), text);
    case "bind":
      return yield* k.driverCore.bind(k, attribute.driver, text);
    case "unbind":
      return yield* k.driverCore.unbind(k, attribute.driver, text);
    case "sriov":
      if (attribute.file === "sriov_numvfs") return yield* k.sriov.writeNumVfs(k, attribute.device, text);
      k.sriov.physical(k, attribute.device);
      return refuse(vfsRule["VFS-OPEN-2"]);
    case "new_id":
      return yield* k.driverCore.newId(k, attribute.driver, text);
    case "remove_id":
      return k.driverCore.removeId(k, attribute.driver, text);
    case "pci-bus":
      if (attribute.file === "rescan") return yield* k.hotplug.rescan(k, { kind: "pci-bus" }, text);
      return attribute.file === "drivers_probe"
        ? yield* k.driverCore.probeDrivers(k, text)
        : k.driverCore.setAutoprobe(k, text);
    case "pci-device":
      return attribute.file === "remove"
        ? yield* k.hotplug.remove(k, attribute.device, text)
        : yield* k.hotplug.rescan(k, { kind: "pci-device", device: attribute.device }, text);
    case "pci-bridge":
      return yield* k.hotplug.rescan(k, attribute, text);
    case "aux-driver":
      return attribute.file === "bind"
        ? yield* k.driverCore.bindAuxiliary(k, attribute.driver, text)
        : yield* k.driverCore.unbindAuxiliary(k, attribute.driver, text);
    case "mdev-create":
      return yield* k.mdev.create(k, attribute.parent, attribute.type, text);
    case "mdev-remove":
      return yield* k.mdev.remove(k, attribute.device, text);
    case "mdev-driver":
      return attribute.file === "bind"
        ? k.mdev.bindDriver(k, attribute.driver, text)
        : yield* k.mdev.unbindDriver(k, attribute.driver, text);
    case "mdev-bus":
      return attribute.file === "drivers_probe" ? k.mdev.probeDrivers(k, text) : k.mdev.setAutoprobe(k, text);
    case "wq":
      return yield* k.idxd.writeQueue(k, attribute.queue, attribute.file, text);
    case "wq-driver":
      return attribute.file === "bind"
        ? yield* k.idxd.bindQueue(k, attribute.driver, text)
        : yield* k.idxd.unbindQueue(k, attribute.driver, text);
    case "available_instances":
      k.mdev.findType(k, attribute.parent, attribute.type);
      return refuse(vfsRule["VFS-OPEN-2"]);
    case "mdev-vendor":
      k.mdev.readVendor(k, attribute.device, attribute.file);
      return refuse(vfsRule["VFS-OPEN-2"]);
    case "mdev-type":
      // What can't be read is not there to be written either.
      k.mdev.describe(k, attribute.parent, attribute.type, attribute.file);
      return refuse(vfsRule["VFS-OPEN-2"]);
  }
}

/** The whole text of an attribute. */
export function* readAttribute(k: Kernel, attribute: Attribute): Operation<string> {
  switch (attribute.kind) {
    case "driver_override":
      return yield* k.driverCore.readOverride(k, functionOf(k, attribute.device));
    case "pci-device":
    case "pci-bridge":
      if (attribute.kind === "pci-device") k.hotplug.attribute(k, attribute.device, attribute.file);
      else k.hotplug.busOf(k, attribute);
      return refuse(vfsRule["VFS-OPEN-2"]);
    case "sriov":
      return yield* k.sriov.readVfs(k, attribute.device, attribute.file);
    case "available_instances":
      return k.mdev.availableInstances(k, attribute.parent, attribute.type);
    case "mdev-vendor":
      return k.mdev.readVendor(k, attribute.device, attribute.file);
    case "mdev-type":
      return k.mdev.describe(k, attribute.parent, attribute.type, attribute.file);
    case "pci-bus":
      return attribute.file === "drivers_autoprobe" ? k.driverCore.readAutoprobe(k) : refuse(vfsRule["VFS-OPEN-2"]);
    case "mdev-bus":
      return attribute.file === "drivers_autoprobe" ? k.mdev.readAutoprobe(k) : refuse(vfsRule["VFS-OPEN-2"]);
    case "mdev-create":
      k.mdev.findType(k, attribute.parent, attribute.type);
      return refuse(vfsRule["VFS-OPEN-2"]);
    case "mdev-remove":
      if (!k.mdevs.some((mdev) => mdev.name === attribute.device)) return refuse(vfsRule["VFS-OPEN-1"]);
      return refuse(vfsRule["VFS-OPEN-2"]);
    case "mdev-driver":
      k.mdev.findDriver(k, attribute.driver);
      return refuse(vfsRule["VFS-OPEN-2"]);
    case "aux-driver":
      k.driverCore.findAuxiliaryDriver(k, attribute.driver);
      return refuse(vfsRule["VFS-OPEN-2"]);
    case "wq":
      return k.idxd.readQueue(k, attribute.queue, attribute.file);
    case "wq-driver":
      k.idxd.findQueueDriver(k, attribute.driver);
      return refuse(vfsRule["VFS-OPEN-2"]);
    case "bind":
    case "unbind":
    case "new_id":
    case "remove_id":
      k.driverCore.findDriver(k, attribute.driver);
      return refuse(vfsRule["VFS-OPEN-2"]);
  }
}

function functionOf(k: Kernel, name: string) {
  return k.functions.find((candidate) => candidate.spec.name === name) ?? refuse(vfsRule["VFS-OPEN-1"]);
}
