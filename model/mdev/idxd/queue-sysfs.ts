/**
 * Work queues in sysfs: what a queue is for, and which driver has it. Beside drivers/dma/idxd/{sysfs,bus,device}.c.
 *
 * A queue belongs to one driver at a time, and changes hands only while it is disabled; that is the line between a char device
 * for programs of the host and a device for guests.
 */
import { names, parseUnsigned, taken } from "../../driver-core/sysfs-text.ts";
import { clauses, must, refuse } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { Blocked, type Operation } from "../../kernel/operation.ts";
import { rule as vfsRule } from "../../kernel/vfs.ts";
import type { Attribute } from "../../program.ts";
import { DRIVER_OF, type QueueDriver, type QueueMode, type QueueType, type WorkQueue } from "./host.ts";
import { IDXD, LINE_MAIL, sysfsSource, TYPE_MAIL } from "./sources.ts";

const sysfs = { ...IDXD, observable: "sysfs" } as const;

export const rule = clauses({
  "IDXD-WQ-TYPE-1": {
    ...IDXD,
    rule: "what a queue is for can't be changed while it is enabled",
    errno: "EPERM",
    source: sysfsSource("wq_type_store"),
  },
  "IDXD-WQ-TYPE-2": {
    ...IDXD,
    rule: "a queue is for nobody, the kernel, programs or mediated devices: none, kernel, user, mdev",
    errno: "EINVAL",
    source: sysfsSource("wq_type_store"),
  },
  "IDXD-WQ-MODE-1": {
    ...IDXD,
    rule: "the mode of a queue can't be changed while it is enabled",
    errno: "EPERM",
    source: sysfsSource("wq_mode_store"),
  },
  "IDXD-WQ-MODE-2": {
    ...IDXD,
    rule: "a queue is dedicated or shared",
    errno: "EINVAL",
    source: sysfsSource("wq_mode_store"),
  },
  "IDXD-WQ-MODE-3": {
    ...sysfs,
    rule: "a queue that becomes dedicated loses its threshold",
    source: sysfsSource("wq_mode_store"),
  },
  "IDXD-WQ-THRESHOLD-1": {
    ...IDXD,
    rule: "the threshold must be a number, 1 at least and no more than the queue has entries",
    errno: "EINVAL",
    source: sysfsSource("wq_threshold_store"),
  },
  "IDXD-WQ-THRESHOLD-2": {
    ...IDXD,
    rule: "the threshold of a queue can't be changed while it is enabled",
    errno: "ENXIO",
    source: sysfsSource("wq_threshold_store"),
  },
  "IDXD-WQ-THRESHOLD-3": {
    ...IDXD,
    rule: "a dedicated queue has no threshold",
    errno: "EINVAL",
    source: sysfsSource("wq_threshold_store"),
  },
  "IDXD-WQ-BOF-1": {
    ...IDXD,
    rule: "whether a queue blocks on page faults can't be changed while it is enabled",
    errno: "ENXIO",
    source: sysfsSource("wq_block_on_fault_store"),
  },
  "IDXD-WQ-BOF-2": {
    ...IDXD,
    rule: "block_on_fault takes what is a truth value: y, n, 1, 0, on, off",
    errno: "EINVAL",
    source: sysfsSource("wq_block_on_fault_store"),
  },
  "IDXD-WQ-SHOW-1": {
    ...sysfs,
    rule: "a queue tells its type, mode, threshold and whether it blocks on faults, as they were written",
    source: "Documentation/ABI/stable/sysfs-driver-dma-idxd",
  },
  "IDXD-WQ-STATE-1": {
    ...sysfs,
    rule: "a queue is disabled, enabled, or locked: a guest's that the guest has not enabled",
    source: TYPE_MAIL,
  },
  "IDXD-WQ-BIND-1": {
    ...IDXD,
    rule: "the text must be the name of a queue of the type that the driver is for",
    errno: "ENODEV",
    source: "drivers/dma/idxd/cdev.c:idxd_user_drv_probe",
  },
  "IDXD-WQ-BIND-2": {
    ...IDXD,
    rule: "a queue that has a driver gets no other",
    errno: "EBUSY",
    source: "drivers/base/dd.c:device_driver_attach",
  },
  "IDXD-WQ-BIND-3": {
    ...IDXD,
    rule: "a shared queue needs a threshold",
    errno: "ENXIO",
    source: "drivers/dma/idxd/device.c:idxd_drv_enable_wq",
  },
  "IDXD-WQ-BIND-4": {
    ...sysfs,
    rule: "the queue is enabled for the driver, the kernel's own, the char device or mediated devices",
    source: LINE_MAIL,
  },
  "IDXD-WQ-UNBIND-1": {
    ...IDXD,
    rule: "the text must be the name of a queue that has this driver",
    errno: "ENODEV",
    source: "drivers/base/bus.c:unbind_store",
  },
  "IDXD-WQ-UNBIND-2": {
    ...sysfs,
    rule: "once nobody has it open any more the queue is disabled, and its mediated devices are gone",
    source: LINE_MAIL,
  },
});

type QueueFileName = (Attribute & { readonly kind: "wq" })["file"];

const TYPES: readonly QueueType[] = ["none", "kernel", "user", "mdev"];
const MODES: readonly QueueMode[] = ["dedicated", "shared"];
const DRIVERS: readonly QueueDriver[] = ["dmaengine", "user", "mdev"];

/** kstrtobool: what begins like a truth value; null for all else. */
function parseBool(text: string): boolean | null {
  const match = /^(?:([yt1]|on)|[nf0]|of)/i.exec(text);
  return match ? match[1] !== undefined : null;
}

export const queueSteps = {
  /** A queue that there is. */
  findQueue(k: Kernel, name: string): WorkQueue {
    return k.accelerator?.queues.find(({ spec }) => spec.name === name) ?? refuse(vfsRule["VFS-OPEN-1"]);
  },

  /** wq_type_store, wq_mode_store, wq_threshold_store and wq_block_on_fault_store */
  *writeQueue(k: Kernel, name: string, file: QueueFileName, text: string): Operation<number> {
    const queue = k.idxd.findQueue(k, name);
    if (file === "state") return refuse(vfsRule["VFS-OPEN-2"]);
    const written = taken(text);
    if (written.length === 0) return 0;
    using _ = yield* k.lock(queue.lock);
    switch (file) {
      case "type": {
        must(queue.driver === null, rule["IDXD-WQ-TYPE-1"]);
        const type = TYPES.find((known) => names(written, known));
        must(type !== undefined, rule["IDXD-WQ-TYPE-2"]);
        queue.type = type;
        break;
      }
      case "mode": {
        must(queue.driver === null, rule["IDXD-WQ-MODE-1"]);
        const mode = MODES.find((known) => names(written, known));
        must(mode !== undefined, rule["IDXD-WQ-MODE-2"]);
        queue.mode = mode;
        if (mode === "shared") break;
        queue.threshold = 0;
        k.keeps(rule["IDXD-WQ-MODE-3"]);
        break;
      }
      case "threshold": {
        const value = parseUnsigned(written);
        must(value !== null && value > 0n && value <= queue.spec.size, rule["IDXD-WQ-THRESHOLD-1"]);
        must(queue.driver === null, rule["IDXD-WQ-THRESHOLD-2"]);
        must(!queue.dedicated, rule["IDXD-WQ-THRESHOLD-3"]);
        queue.threshold = Number(value);
        break;
      }
      case "block_on_fault": {
        must(queue.driver === null, rule["IDXD-WQ-BOF-1"]);
        const value = parseBool(written);
        must(value !== null, rule["IDXD-WQ-BOF-2"]);
        queue.blockOnFault = value;
      }
    }
    return written.length;
  },

  /** wq_type_show and its like */
  readQueue(k: Kernel, name: string, file: QueueFileName): string {
    const queue = k.idxd.findQueue(k, name);
    k.keeps(file === "state" ? rule["IDXD-WQ-STATE-1"] : rule["IDXD-WQ-SHOW-1"]);
    switch (file) {
      case "type":
        return `${queue.type}\n`;
      case "mode":
        return `${queue.mode}\n`;
      case "threshold":
        return `${queue.threshold}\n`;
      case "block_on_fault":
        return queue.blockOnFault ? "1\n" : "0\n";
      case "state":
        if (queue.driver === null) return "disabled\n";
        return queue.running ? "enabled\n" : "locked\n";
    }
  },

  findQueueDriver(k: Kernel, name: string): QueueDriver {
    const driver = k.accelerator ? DRIVERS.find((known) => known === name) : undefined;
    return driver ?? refuse(vfsRule["VFS-OPEN-1"]);
  },

  /** bind_store of a driver of queues, and the driver's probe: idxd_drv_enable_wq */
  *bindQueue(k: Kernel, driverName: string, text: string): Operation<number> {
    const driver = k.idxd.findQueueDriver(k, driverName);
    const written = taken(text);
    if (written.length === 0) return 0;
    const queue = k.accelerator?.queues.find(({ spec }) => names(written, spec.name));
    must(queue !== undefined, rule["IDXD-WQ-BIND-1"]);
    must(queue.driver === null, rule["IDXD-WQ-BIND-2"]);
    using _ = yield* k.lock(queue.lock);
    must(DRIVER_OF[queue.type] === driver, rule["IDXD-WQ-BIND-1"]);
    must(queue.dedicated || queue.threshold > 0, rule["IDXD-WQ-BIND-3"]);
    k.alloc();
    queue.driver = driver;
    queue.running = true;
    k.keeps(rule["IDXD-WQ-BIND-4"]);
    return written.length;
  },

  /** unbind_store of a driver of queues, and the driver's remove */
  *unbindQueue(k: Kernel, driverName: string, text: string): Operation<number> {
    const driver = k.idxd.findQueueDriver(k, driverName);
    const written = taken(text);
    if (written.length === 0) return 0;
    const queue = k.accelerator?.queues.find(({ spec }) => names(written, spec.name));
    must(queue !== undefined && queue.driver === driver, rule["IDXD-WQ-UNBIND-1"]);
    yield* k.idxd.clearQueue(k, queue);
    using _ = yield* k.lock(queue.lock);
    queue.driver = null;
    queue.running = false;
    k.keeps(rule["IDXD-WQ-UNBIND-2"]);
    return written.length;
  },

  /**
   * Takes a queue from its users: waits for files, as a parent of mediated devices that goes does, and removes the devices.
   * Today's driver, which has no guests, goes on with a warning (idxd_drv_disable_wq).
   */
  *clearQueue(k: Kernel, queue: WorkQueue): Operation<void> {
    if (queue.files > 0) throw new Blocked(`the last file of ${queue.spec.name} to be closed`);
    const own = k.mdevs.filter(
      ({ vfio }) => vfio !== null && queue.instances.some((instance) => instance === vfio.ops),
    );
    const open = own.find(({ vfio }) => vfio !== null && vfio.registrations > 0);
    if (open) throw new Blocked(`the last file of ${open.name} to be closed`);
    for (const mdev of own) yield* k.mdev.removeCommon(k, mdev);
  },
};
