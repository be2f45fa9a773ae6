/** Mediated devices: parents, and devices made and removed through sysfs. Beside drivers/vfio/mdev/mdev_{core,sysfs}.c. */
import { cString, parseUnsigned, taken } from "../driver-core/sysfs-text.ts";
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Blocked, type Operation } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import type { Text } from "../program.ts";
import { busName, type Topology } from "../topology.ts";
import { busSteps } from "./bus.ts";
import { idxd } from "./idxd/idxd.ts";
import { mdpy } from "./mdpy.ts";
import { mtty } from "./mtty.ts";
import { Mdev, type MdevDriver, MdevParent, type MdevType } from "./objects.ts";
import { typeSteps } from "./type-attributes.ts";

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
  "MDEV-REMOVE-4": {
    rule: "a device that another task is still making can't be removed",
    errno: "EAGAIN",
    source: "drivers/vfio/mdev/mdev_core.c:mdev_device_remove",
    unseen: "it takes a second task",
  },
  "MDEV-REMOVE-5": {
    rule: "a device that is being removed and is still open is not on the bus any more; its UUID is not free before it is gone",
    source: "drivers/base/bus.c:bus_remove_device",
    observable: "sysfs",
  },
  "MDEV-PARENT-1": {
    rule: "a parent that goes takes its devices with it, once nobody has them open, and its types",
    source: DOCUMENT,
    unseen: "a parent that is built in never goes",
  },
  "MDEV-PARENT-2": {
    rule: "no device is made of a parent that is going",
    errno: "ENODEV",
    source: "drivers/vfio/mdev/mdev_core.c:mdev_device_create",
    unseen: "a parent that is built in never goes",
  },
  "MDEV-PARENT-3": {
    rule: "a device of a parent that is going is left to it to remove",
    errno: "ENODEV",
    source: "drivers/vfio/mdev/mdev_core.c:mdev_device_remove",
    unseen: "a parent that is built in never goes",
  },
});

const DRIVERS: readonly MdevDriver[] = [mtty, mdpy, idxd];

const UUID_LENGTH = 36;

/** The UUID that text begins with, in lower case, or null where it begins with none. */
export function parseUuid(text: string): string | null {
  const match = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/i.exec(text);
  return match ? match[0].toLowerCase() : null;
}

/** The topology's name for the device of that UUID; the UUID itself, in lower case, where the topology has none. */
function nameOf({ mdevs }: Topology, uuid: string): string {
  return mdevs.find((known) => known.uuid.toLowerCase() === uuid)?.name ?? uuid;
}

/** The name of the device that this text makes, written to `create`; null where it makes none. */
export function madeByText(topology: Topology, what: Text): string | null {
  const written = taken("device" in what ? busName(topology, what.device) : what.text);
  const uuid = written.length <= UUID_LENGTH + 1 ? parseUuid(cString(written)) : null;
  return uuid === null ? null : nameOf(topology, uuid);
}

/** Types of which the standing devices leave some to be had, one for each parent, and how many that is. */
export function availableAtFirst({
  mdevs,
  mdevParents,
}: Topology): { parent: string; type: string; available: number }[] {
  return DRIVERS.filter(({ name }) => mdevParents.includes(name)).flatMap(({ name, types, capacity }) => {
    const units = (of: string): number => types.find((type) => type.name === of)?.units ?? 0;
    const taken = mdevs.reduce(
      (sum, { standing }) => (standing?.parent === name ? sum + units(standing.type) : sum),
      0,
    );
    const [first] = types;
    return first ? [{ parent: name, type: first.name, available: Math.floor((capacity - taken) / first.units) }] : [];
  });
}

export const steps = {
  ...busSteps,
  ...typeSteps,

  /** mdev_register_parent, for every parent of the topology */
  registerParents(k: Kernel): void {
    for (const name of k.topology.mdevParents) {
      const driver = DRIVERS.find((candidate) => candidate.name === name);
      if (!driver) throw new Error(`the model knows no mdev parent "${name}"; use mtty, mdpy or idxd`);
      k.mdevParents.push(new MdevParent(driver));
    }
  },

  /**
   * mdev_unregister_parent: waits until nobody has a device of it open. Nothing in user space brings this about while
   * the drivers are built in, and their parents are on no bus that could unbind them.
   */
  *unregisterParent(k: Kernel, parent: MdevParent): Operation<void> {
    const own = k.mdevs.filter((mdev) => mdev.parent === parent);
    const open = own.find(({ vfio }) => vfio !== null && vfio.registrations > 0);
    if (open) throw new Blocked(`the last file of ${open.name} to be closed`);
    using _ = yield* k.lock(parent.unregSem);
    parent.unregistering = true;
    for (const mdev of own) yield* k.mdev.removeCommon(k, mdev);
    k.mdevParents.splice(k.mdevParents.indexOf(parent), 1);
    k.keeps(rule["MDEV-PARENT-1"]);
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
    try {
      using _ = yield* k.mdev.enter(k, parent);
      yield* k.mdev.attach(k, mdev);
      mdev.active = true;
    } catch (refusal) {
      yield* k.mdev.release(k, mdev);
      throw refusal;
    }
    k.keeps(rule["MDEV-CREATE-4"]);
    return written.length;
  },

  /** mdev_device_create, as far as it holds the list's lock */
  *reserve(k: Kernel, parent: MdevParent, type: MdevType, uuid: string): Operation<Mdev> {
    using _ = yield* k.lock(parent.listLock);
    must(!k.mdev.namespace(k, parent).some((other) => other.uuid === uuid), rule["MDEV-CREATE-3"]);
    k.alloc();
    if (parent.driver.countedBy === "core") k.mdev.take(parent, type);
    const mdev = new Mdev(nameOf(k.topology, uuid), uuid, parent, type);
    k.mdevs.push(mdev);
    return mdev;
  },

  /** The devices that a new one of this parent may not share its UUID with: those of every parent, as the bus has them all. */
  namespace({ mdevs, leavingMdevs }: Kernel, _parent: MdevParent): readonly Mdev[] {
    return leavingMdevs.length === 0 ? mdevs : [...mdevs, ...leavingMdevs];
  },

  /** What a device of the type takes of its parent. */
  take(parent: MdevParent, type: MdevType): void {
    must(parent.free >= type.units, parent.driver.full);
    parent.free -= type.units;
  },

  /** down_read_trylock(&parent->unreg_sem), for a device that is made */
  *enter(k: Kernel, parent: MdevParent): Operation<Disposable> {
    must(!parent.unregistering, rule["MDEV-PARENT-2"]);
    return yield* k.lockForReading(parent.unregSem);
  },

  /** device_driver_attach with mdev_probe behind it: the driver registers a VFIO device in a group of its own. */
  *attach(k: Kernel, mdev: Mdev): Operation<void> {
    using _ = yield* k.lock(mdev.lock);
    const { parent, type } = mdev;
    k.alloc();
    if (parent.driver.countedBy === "driver") k.mdev.take(parent, type);
    yield* k.mdev.probe(k, mdev);
  },

  /** The end of a driver's probe: the device is registered, or what it took is given back. */
  *probe(k: Kernel, mdev: Mdev): Operation<void> {
    const { parent, type } = mdev;
    try {
      k.alloc();
    } catch (refusal) {
      if (parent.driver.countedBy === "driver") k.mdev.giveBack(mdev);
      throw refusal;
    }
    mdev.vfio = k.vfio.register(k, mdev.uuid, type.probe(k), { kind: "mdev", mdev });
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

  /** mdev_device_remove */
  *removeDevice(k: Kernel, mdev: Mdev): Operation<void> {
    const { parent } = mdev;
    {
      using _ = yield* k.lock(parent.listLock);
      must(mdev.active, rule["MDEV-REMOVE-4"]);
      must(!parent.unregistering, rule["MDEV-PARENT-3"]);
    }
    using _ = yield* k.lockForReading(parent.unregSem);
    yield* k.mdev.removeCommon(k, mdev);
  },

  /** mdev_device_remove_common: waits until nobody has the device open. */
  *removeCommon(k: Kernel, mdev: Mdev): Operation<void> {
    if (mdev.vfio) {
      {
        // kill_device, before anything of it is gone.
        using _ = yield* k.lock(mdev.lock);
        k.vfio.mayWaitFor(k, mdev.vfio);
      }
      if (mdev.vfio.registrations > 0) k.keeps(rule["MDEV-REMOVE-5"]);
    }
    k.mdevs.splice(k.mdevs.indexOf(mdev), 1);
    k.leavingMdevs.push(mdev);
    if (mdev.vfio) yield* k.mdev.detach(k, mdev, mdev.vfio);
    yield* k.mdev.release(k, mdev);
  },

  /** mdev_device_release */
  *release(k: Kernel, mdev: Mdev): Operation<void> {
    using _ = yield* k.lock(mdev.parent.listLock);
    // One that was never made is on the bus still, or has not come there.
    const list = k.leavingMdevs.includes(mdev) ? k.leavingMdevs : k.mdevs;
    list.splice(list.indexOf(mdev), 1);
    if (mdev.parent.driver.countedBy === "core") k.mdev.giveBack(mdev);
  },

  /** What the device took of its parent is free again. */
  giveBack({ parent, type }: Mdev): void {
    parent.free += type.units;
  },
};
