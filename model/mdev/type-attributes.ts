/** What a type of mediated devices says of itself in sysfs. Beside drivers/vfio/mdev/mdev_sysfs.c. */
import { clauses, refuse } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import type { Attribute } from "../program.ts";
import type { MdevParent, MdevType } from "./objects.ts";

const source = "Documentation/driver-api/vfio-mediated-device.rst";

export const rule = clauses({
  "MDEV-AVAILABLE-1": {
    rule: "available_instances says how many more devices of the type can be made",
    source,
    observable: "sysfs",
  },
  "MDEV-TYPE-1": {
    rule: "name says what the type is called, for people",
    source,
    observable: "sysfs",
  },
  "MDEV-TYPE-2": {
    rule: "device_api says by which API a device of the type is used",
    source,
    observable: "sysfs",
  },
  "MDEV-TYPE-3": {
    rule: "description describes the type; it is there where the driver describes any",
    source,
    observable: "sysfs",
  },
  "MDEV-TYPE-4": {
    rule: "the directory devices of a type has a link to every device of it",
    source,
    observable: "sysfs",
  },
  "MDEV-TYPE-5": {
    rule: "the link mdev_type of a device leads to its type",
    source,
    observable: "sysfs",
  },
});

/** Both samples emulate PCI devices: VFIO_DEVICE_API_PCI_STRING. */
const DEVICE_API = "vfio-pci";

type TypeFile = (Attribute & { readonly kind: "mdev-type" })["file"];

export const typeSteps = {
  /** The parent and type behind a directory in mdev_supported_types. */
  findType(k: Kernel, parentName: string, typeName: string): [MdevParent, MdevType] {
    const parent = k.mdevParents.find((candidate) => candidate.name === parentName);
    const type = parent?.driver.types.find((candidate) => candidate.name === typeName);
    return parent && type ? [parent, type] : refuse(vfsRule["VFS-OPEN-1"]);
  },

  /** available_instances_show */
  availableInstances(k: Kernel, parentName: string, typeName: string): string {
    const [parent, type] = k.mdev.findType(k, parentName, typeName);
    k.keeps(rule["MDEV-AVAILABLE-1"]);
    return `${type.available?.(k) ?? Math.floor(parent.free / type.units)}\n`;
  },

  /** name_show, device_api_show and description_show */
  describe(k: Kernel, parentName: string, typeName: string, file: TypeFile): string {
    const [, type] = k.mdev.findType(k, parentName, typeName);
    switch (file) {
      case "name":
        k.keeps(rule["MDEV-TYPE-1"]);
        return `${type.label}\n`;
      case "device_api":
        k.keeps(rule["MDEV-TYPE-2"]);
        return `${DEVICE_API}\n`;
      case "description":
        if (type.description === null) return refuse(vfsRule["VFS-OPEN-1"]);
        k.keeps(rule["MDEV-TYPE-3"]);
        return `${type.description}\n`;
    }
  },

  /** UUIDs of the devices of a type. */
  devicesOfType(k: Kernel, parentName: string, typeName: string): string[] {
    const [, type] = k.mdev.findType(k, parentName, typeName);
    k.keeps(rule["MDEV-TYPE-4"]);
    return k.mdevs.filter((mdev) => mdev.type === type).map(({ uuid }) => uuid);
  },

  /** Where the link `mdev_type` of a device leads. */
  typeOfDevice(k: Kernel, name: string): string {
    const mdev = k.mdevs.find((candidate) => candidate.name === name);
    if (!mdev) return refuse(vfsRule["VFS-OPEN-1"]);
    k.keeps(rule["MDEV-TYPE-5"]);
    return mdev.type.name;
  },
};
