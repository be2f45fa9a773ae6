/** Mediated devices: parents, and devices made and removed through sysfs. Beside drivers/vfio/mdev/mdev_{core,sysfs}.c. */
import { cString, parseUnsigned, taken } from "../driver-core/sysfs-text.ts";
import { type Clause, clauses, must, refuse } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { Operation } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import type { VfioDevice, VfioDeviceOps } from "../vfio/device.ts";
import { mdpy } from "./mdpy.ts";
import { mtty } from "./mtty.ts";

const DOCUMENT = "Documentation/driver-api/vfio-mediated-device.rst";

export const rule = clauses({
  "MDEV-CREATE-1": {
    rule: "the text must be as long as a UUID, or one longer",
    errno: "EINVAL",
    source: "drivers/vfio/mdev/mdev_sysfs.c:create_store",
  },
  "MDEV-CREATE-2": {
    rule: "the text must be a UUID, in whatever case",
    errno: "EINVAL",
    source: "drivers/vfio/mdev/mdev_sysfs.c:create_store",
  },
  "MDEV-CREATE-3": {
    rule: "a UUID can be used once only, whatever the parent and type, and whether or not there is room",
    errno: "EEXIST",
    source: "drivers/vfio/mdev/mdev_core.c:mdev_device_create",
  },
  "MDEV-CREATE-4": {
    rule: "the whole text is taken, and the device is there, under its UUID in lower case and in a group of its own",
    source: DOCUMENT,
    observable: "sysfs",
  },
  "MDEV-REMOVE-1": {
    rule: "the text must be a number",
    errno: "EINVAL",
    source: "drivers/vfio/mdev/mdev_sysfs.c:remove_store",
  },
  "MDEV-REMOVE-2": {
    rule: "0 removes nothing",
    source: "drivers/vfio/mdev/mdev_sysfs.c:remove_store",
    observable: "sysfs",
  },
  "MDEV-REMOVE-3": {
    rule: "any other number removes the device, once nobody has it open; what it took of its parent is free again",
    source: DOCUMENT,
    observable: "sysfs",
  },
  "MDEV-AVAILABLE-1": {
    rule: "available_instances says how many more devices of the type can be made",
    source: DOCUMENT,
    observable: "sysfs",
  },
});

const listLock = new LockClass("mdev_list_lock");

/** A type that a parent can make devices of. */
export interface MdevType {
  /** Name of its directory in sysfs: `mtty-2`. */
  readonly name: string;
  /** How much of its parent's capacity one device takes. */
  readonly units: number;
  readonly ops: VfioDeviceOps;
}

/** A driver of mediated devices: struct mdev_driver. */
export interface MdevDriver {
  readonly name: string;
  readonly types: readonly MdevType[];
  /** Units that its devices share. */
  readonly capacity: number;
  /** The clause that refuses a device when they are used up. */
  readonly full: Clause;
}

/** struct mdev_parent: a device that mediated devices can be made of. */
export class MdevParent {
  readonly driver: MdevDriver;
  /** Units that no device uses. */
  free: number;
  /** Taken with nothing that another parent's is taken with, so one each orders the same as the kernel's global one. */
  readonly listLock = new Lock(listLock);

  constructor(driver: MdevDriver) {
    this.driver = driver;
    this.free = driver.capacity;
  }

  get name(): string {
    return this.driver.name;
  }
}

/** struct mdev_device */
export class Mdev {
  /** Its name in the topology, or its UUID where that does not name it. */
  readonly name: string;
  /** In lower case, which is its name on the bus. */
  readonly uuid: string;
  readonly parent: MdevParent;
  readonly type: MdevType;
  vfio: VfioDevice | null = null;

  constructor(name: string, uuid: string, parent: MdevParent, type: MdevType) {
    this.name = name;
    this.uuid = uuid;
    this.parent = parent;
    this.type = type;
  }

  get driver(): string {
    return this.parent.driver.name;
  }
}

const DRIVERS: readonly MdevDriver[] = [mtty, mdpy];

const UUID_LENGTH = 36;

/** The UUID that text begins with, in lower case, or null where it begins with none. */
export function parseUuid(text: string): string | null {
  const match = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/i.exec(text);
  return match ? match[0].toLowerCase() : null;
}

export const steps = {
  /** mdev_register_parent, for every parent of the topology */
  registerParents(k: Kernel): void {
    for (const name of k.topology.mdevParents) {
      const driver = DRIVERS.find((candidate) => candidate.name === name);
      if (!driver) throw new Error(`the model knows no mdev parent "${name}"; use mtty or mdpy`);
      k.mdevParents.push(new MdevParent(driver));
    }
  },

  /** The parent and type behind a directory in mdev_supported_types. */
  findType(k: Kernel, parentName: string, typeName: string): [MdevParent, MdevType] {
    const parent = k.mdevParents.find((candidate) => candidate.name === parentName);
    const type = parent?.driver.types.find((candidate) => candidate.name === typeName);
    return parent && type ? [parent, type] : refuse(vfsRule["VFS-OPEN-1"]);
  },

  /** create_store */
  *create(k: Kernel, parentName: string, typeName: string, text: string): Operation<number> {
    const [parent, type] = k.mdev.findType(k, parentName, typeName);
    const written = taken(text);
    if (written.length === 0) return 0;
    must(written.length === UUID_LENGTH || written.length === UUID_LENGTH + 1, rule["MDEV-CREATE-1"]);
    const uuid = parseUuid(cString(written));
    must(uuid !== null, rule["MDEV-CREATE-2"]);
    const mdev = yield* k.mdev.reserve(k, parent, type, uuid);
    k.mdev.probe(k, mdev);
    k.keeps(rule["MDEV-CREATE-4"]);
    return written.length;
  },

  /** mdev_device_create, as far as it holds the list's lock */
  *reserve(k: Kernel, parent: MdevParent, type: MdevType, uuid: string): Operation<Mdev> {
    using _ = yield* k.lock(parent.listLock);
    must(!k.mdevs.some((other) => other.uuid === uuid), rule["MDEV-CREATE-3"]);
    must(parent.free >= type.units, parent.driver.full);
    parent.free -= type.units;
    const name = k.topology.mdevs.find((known) => known.uuid.toLowerCase() === uuid)?.name ?? uuid;
    const mdev = new Mdev(name, uuid, parent, type);
    k.mdevs.push(mdev);
    return mdev;
  },

  /** mdev_probe */
  probe(k: Kernel, mdev: Mdev): void {
    mdev.vfio = k.vfio.register(k, mdev.uuid, mdev.type.ops, { kind: "mdev", mdev });
  },

  /** remove_store */
  *remove(k: Kernel, name: string, text: string): Operation<number> {
    const mdev = k.mdevs.find((candidate) => candidate.name === name);
    must(mdev !== undefined, vfsRule["VFS-OPEN-1"]);
    const written = taken(text);
    if (written.length === 0) return 0;
    const value = parseUnsigned(written);
    must(value !== null, rule["MDEV-REMOVE-1"]);
    if (value === 0n) {
      k.keeps(rule["MDEV-REMOVE-2"]);
    } else {
      yield* k.mdev.removeDevice(k, mdev);
      k.keeps(rule["MDEV-REMOVE-3"]);
    }
    return written.length;
  },

  /** mdev_device_remove: waits until nobody has the device open. */
  *removeDevice(k: Kernel, mdev: Mdev): Operation<void> {
    if (mdev.vfio) yield* k.vfio.unregister(k, mdev.vfio);
    mdev.vfio = null;
    using _ = yield* k.lock(mdev.parent.listLock);
    k.mdevs.splice(k.mdevs.indexOf(mdev), 1);
    k.mdev.giveBack(mdev);
  },

  /** mdev_device_release, and the driver's release of the VFIO device */
  giveBack(mdev: Mdev): void {
    mdev.parent.free += mdev.type.units;
  },

  /** available_instances_show */
  availableInstances(k: Kernel, parentName: string, typeName: string): string {
    const [parent, type] = k.mdev.findType(k, parentName, typeName);
    k.keeps(rule["MDEV-AVAILABLE-1"]);
    return `${Math.floor(parent.free / type.units)}\n`;
  },
};
