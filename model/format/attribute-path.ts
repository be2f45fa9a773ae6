/** Paths in sysfs that are the same on every machine: those of attributes that belong to no single device. */
import type { Attribute } from "../program.ts";

/** An attribute that belongs to a bus, a driver or a type. */
export type FixedAttribute = Exclude<
  Attribute,
  { readonly kind: "driver_override" | "sriov" | "mdev-remove" | "mdev-vendor" }
>;

/** Directory of an mdev type. */
export function typePath({ parent, type }: { readonly parent: string; readonly type: string }): string {
  return `/sys/class/mdev_bus/${parent}/mdev_supported_types/${type}`;
}

/** Path of an attribute that belongs to no device. */
export function fixedPath(attribute: FixedAttribute): string {
  switch (attribute.kind) {
    case "bind":
    case "unbind":
      return `/sys/bus/pci/drivers/${attribute.driver}/${attribute.kind}`;
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
  }
}
