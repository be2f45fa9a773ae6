/** Paths in sysfs that are the same on every machine: those of attributes that belong to no single device. */
import type { Attribute } from "../program.ts";

/** An attribute that belongs to a bus, a driver or a type. */
export type FixedAttribute = Exclude<
  Attribute,
  { readonly kind: "driver_override" | "sriov" | "pci-device" | "pci-bridge" | "mdev-remove" | "mdev-vendor" }
>;

export const AUXILIARY_DEVICES = "/sys/bus/auxiliary/devices";

/** Directory of an mdev type. */
export function typePath({ parent, type }: { readonly parent: string; readonly type: string }): string {
  return `/sys/class/mdev_bus/${parent}/mdev_supported_types/${type}`;
}

/** Node of a work queue. */
export function queuePath(queue: string): string {
  return `/dev/dsa/${queue}`;
}

/** Path of an attribute that belongs to no device. */
export function fixedPath(attribute: FixedAttribute): string {
  switch (attribute.kind) {
    case "bind":
    case "unbind":
    case "new_id":
    case "remove_id":
      return `/sys/bus/pci/drivers/${attribute.driver}/${attribute.kind}`;
    case "pci-bus":
      return `/sys/bus/pci/${attribute.file}`;
    case "aux-driver":
      return `/sys/bus/auxiliary/drivers/${attribute.driver}/${attribute.file}`;
    case "mdev-create":
      return `${typePath(attribute)}/create`;
    case "available_instances":
      return `${typePath(attribute)}/available_instances`;
    case "mdev-type":
      return `${typePath(attribute)}/${attribute.file}`;
    case "mdev-driver":
      return `/sys/bus/mdev/drivers/${attribute.driver}/${attribute.file}`;
    case "mdev-bus":
      return `/sys/bus/mdev/${attribute.file}`;
    case "wq":
      return `/sys/bus/dsa/devices/${attribute.queue}/${attribute.file}`;
    case "wq-driver":
      return `/sys/bus/dsa/drivers/${attribute.driver}/${attribute.file}`;
  }
}
