/** Drivers, parents, types and devices of the mdev bus. Beside include/linux/mdev.h. */
import type { Clause } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { VfioDevice, VfioDeviceOps } from "../vfio/device.ts";

const listLock = new LockClass("mdev_list_lock");
const unregSem = new LockClass("parent->unreg_sem");
const deviceLock = new LockClass("mdev->dev.mutex");

/** A type that a parent can make devices of. */
export interface MdevType {
  /** Name of its directory in sysfs: `mtty-2`. */
  readonly name: string;
  /** What its attribute `name` says. */
  readonly label: string;
  /** What its attribute `description` says; null where the driver describes nothing, and there is none. */
  readonly description: string | null;
  /** What its driver shows of a device of it: the file's name, and the text for a UUID; null where it shows nothing. */
  readonly vendor: { readonly file: string; text(uuid: string): string } | null;
  /** How much of its parent's capacity one device takes. */
  readonly units: number;
  /** How many more there can be, where the driver has another way to tell than by what is left of the capacity. */
  readonly available?: (k: Kernel) => number;
  /** The operations of a new device, with the state that they work on; may refuse. */
  readonly probe: (k: Kernel) => VfioDeviceOps;
}

/** A driver of mediated devices: struct mdev_driver. */
export interface MdevDriver {
  readonly name: string;
  readonly types: readonly MdevType[];
  /** Units that its devices share. */
  readonly capacity: number;
  /**
   * Who counts them: the core by `max_instances`, for as long as a device is on the bus, or the driver by
   * `get_available`, for as long as it is bound.
   */
  readonly countedBy: "core" | "driver";
  /** The clause that refuses a device when they are used up. */
  readonly full: Clause;
}

/** struct mdev_parent: a device that mediated devices can be made of. */
export class MdevParent {
  readonly driver: MdevDriver;
  /** Units that no device uses. */
  free: number;
  /** Whether it is going: what is done to its devices is refused meanwhile. */
  unregistering = false;
  /** Taken with nothing that another parent's is taken with, so one each orders the same as the kernel's global one. */
  readonly listLock = new Lock(listLock);
  readonly unregSem = new Lock(unregSem);

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
  /** Whether its driver is letting it go: sysfs shows no driver any more. */
  leaving = false;
  /** Whether it is made, to its end. */
  active = false;
  /** What the driver registered; null while no driver is bound, and then there is no group either. */
  vfio: VfioDevice | null = null;
  readonly lock = new Lock(deviceLock);

  constructor(name: string, uuid: string, parent: MdevParent, type: MdevType) {
    this.name = name;
    this.uuid = uuid;
    this.parent = parent;
    this.type = type;
  }

  /** Name of the driver that it is bound to. */
  get driver(): string | null {
    return this.vfio && !this.leaving ? this.parent.driver.name : null;
  }
}
