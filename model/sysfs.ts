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
    case "mdev-create":
      return yield* k.mdev.create(k, attribute.parent, attribute.type, text);
    case "mdev-remove":
      return yield* k.mdev.remove(k, attribute.device, text);
    case "available_instances":
      return refuse(vfsRule["VFS-OPEN-2"]);
  }
}

/** The whole text of an attribute. */
export function readAttribute(k: Kernel, attribute: Attribute): string {
  switch (attribute.kind) {
    case "driver_override":
      return k.driverCore.readOverride(k, functionOf(k, attribute.device));
    case "available_instances":
      return k.mdev.availableInstances(k, attribute.parent, attribute.type);
    case "bind":
    case "unbind":
    case "mdev-create":
    case "mdev-remove":
      return refuse(vfsRule["VFS-OPEN-2"]);
  }
}

function functionOf(k: Kernel, name: string) {
  return k.functions.find((candidate) => candidate.spec.name === name) ?? refuse(vfsRule["VFS-OPEN-1"]);
}
