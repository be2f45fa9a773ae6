/** The mdev bus and its drivers in sysfs. Beside drivers/vfio/mdev/mdev_driver.c and drivers/base/bus.c. */
import { names, taken } from "../driver-core/sysfs-text.ts";
import { clauses, must, refuse } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import type { VfioDevice } from "../vfio/device.ts";
import type { Mdev } from "./objects.ts";

export const rule = clauses({
  "MDEV-BIND-1": {
    rule: "a driver gets a mediated device by making it and in no other way",
    errno: "ENODEV",
    source: "drivers/vfio/mdev/mdev_driver.c:mdev_match",
  },
  "MDEV-UNBIND-1": {
    rule: "the text must be the name of a mediated device that has this driver",
    errno: "ENODEV",
    source: "drivers/base/bus.c:unbind_store",
  },
  "MDEV-UNBIND-2": {
    rule: "once nobody has it open the device loses its driver, its group and its nodes, and stays on the bus",
    source: "drivers/base/bus.c:unbind_store",
    observable: "sysfs",
  },
  "MDEV-UNBIND-3": {
    rule: "what the device took of its parent is free again where the driver counts, and not where the core does",
    source: "include/linux/mdev.h:struct mdev_driver",
    observable: "sysfs",
  },
  "MDEV-VENDOR-1": {
    rule: "what a driver shows of its device is there while it has the device",
    source: "Documentation/driver-api/vfio-mediated-device.rst",
    observable: "sysfs",
  },
  "MDEV-PROBE-1": {
    rule: "the text must be the name of a mediated device",
    errno: "ENODEV",
    source: "drivers/base/bus.c:drivers_probe_store",
  },
  "MDEV-PROBE-2": {
    rule: "the whole text is taken, and a device that has no driver gets none",
    source: "drivers/vfio/mdev/mdev_driver.c:mdev_match",
    observable: "sysfs",
  },
  "MDEV-AUTOPROBE-1": {
    rule: "text that begins with 0 turns it off, any other on; devices are made with their driver either way",
    source: "drivers/base/bus.c:drivers_autoprobe_store",
    observable: "sysfs",
  },
  "MDEV-AUTOPROBE-2": {
    rule: "it reads as 1 or 0",
    source: "drivers/base/bus.c:drivers_autoprobe_show",
    observable: "sysfs",
  },
});

export const busSteps = {
  /** bind_store, whose match no device of the bus passes. */
  bindDriver(k: Kernel, driver: string, text: string): number {
    k.mdev.findDriver(k, driver);
    return taken(text).length === 0 ? 0 : refuse(rule["MDEV-BIND-1"]);
  },

  /** unbind_store */
  *unbindDriver(k: Kernel, driver: string, text: string): Operation<number> {
    k.mdev.findDriver(k, driver);
    const written = taken(text);
    if (written.length === 0) return 0;
    const mdev = k.mdev.findOnBus(k, written);
    const vfio = mdev?.vfio;
    must(mdev !== undefined && vfio != null && mdev.parent.name === driver, rule["MDEV-UNBIND-1"]);
    yield* k.mdev.detach(k, mdev, vfio);
    k.keeps(rule["MDEV-UNBIND-2"]);
    k.keeps(rule["MDEV-UNBIND-3"]);
    return written.length;
  },

  /** device_driver_detach with mdev_remove behind it: waits until nobody has the device open. */
  *detach(k: Kernel, mdev: Mdev, vfio: VfioDevice): Operation<void> {
    using _ = yield* k.lock(mdev.lock);
    k.vfio.mayWaitFor(k, vfio);
    mdev.leaving = true;
    yield* k.vfio.unregister(k, vfio);
    mdev.leaving = false;
    vfio.ops.removed?.(k);
    mdev.vfio = null;
    if (mdev.parent.driver.countedBy === "driver") k.mdev.giveBack(mdev);
  },

  /** drivers_probe_store */
  probeDrivers(k: Kernel, text: string): number {
    const written = taken(text);
    if (written.length === 0) return 0;
    must(k.mdev.findOnBus(k, written) !== undefined, rule["MDEV-PROBE-1"]);
    k.keeps(rule["MDEV-PROBE-2"]);
    return written.length;
  },

  /** drivers_autoprobe_store */
  setAutoprobe(k: Kernel, text: string): number {
    const written = taken(text);
    if (written.length === 0) return 0;
    k.mdevBus.autoprobe = !written.startsWith("0");
    k.keeps(rule["MDEV-AUTOPROBE-1"]);
    return written.length;
  },

  /** drivers_autoprobe_show */
  readAutoprobe(k: Kernel): string {
    k.keeps(rule["MDEV-AUTOPROBE-2"]);
    return k.mdevBus.autoprobe ? "1\n" : "0\n";
  },

  /** sample_mdev_dev_show and resolution_show: an attribute of the driver's, there while it has the device. */
  readVendor(k: Kernel, name: string, file: string): string {
    const mdev = k.mdevs.find((candidate) => candidate.name === name);
    const vendor = mdev?.type.vendor;
    if (!mdev?.driver || vendor?.file !== file) return refuse(vfsRule["VFS-OPEN-1"]);
    k.keeps(rule["MDEV-VENDOR-1"]);
    return `${vendor.text(mdev.uuid)}\n`;
  },

  /** Refuses where no driver of that name has a directory. */
  findDriver(k: Kernel, driver: string): void {
    must(
      k.mdevParents.some((parent) => parent.driver.name === driver),
      vfsRule["VFS-OPEN-1"],
    );
  },

  /** bus_find_device_by_name */
  findOnBus(k: Kernel, text: string): Mdev | undefined {
    return k.mdevs.find((mdev) => names(text, mdev.uuid));
  },
};
