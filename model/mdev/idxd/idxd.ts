/**
 * idxd as a parent of mediated devices: each is one of the host's work queues. Beside the series' idxd_vdcm_probe, find_any_dwq and
 * find_any_swq.
 */
import { clauses, must } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { MdevDriver, MdevType } from "../objects.ts";
import { commandSteps } from "./commands.ts";
import { configSteps } from "./config-space.ts";
import { descriptorSteps } from "./descriptor.ts";
import { logSteps } from "./dirty-log.ts";
import { errorSteps } from "./errors.ts";
import { Accelerator, type QueueMode, type WorkQueue } from "./host.ts";
import { hostDescriptorSteps } from "./host-descriptors.ts";
import { interruptSteps } from "./interrupts.ts";
import { memorySteps } from "./memory.ts";
import { mmioSteps } from "./mmio.ts";
import { portalSteps } from "./portal.ts";
import { queueCommandSteps } from "./queue-commands.ts";
import { fileSteps } from "./queue-file.ts";
import { queueSteps } from "./queue-sysfs.ts";
import { VECTORS } from "./registers.ts";
import { IDXD, LINE_MAIL, TYPE_MAIL } from "./sources.ts";
import { deviceSteps, VirtualDsa } from "./virtual-device.ts";

export const rule = clauses({
  "IDXD-CREATE-1": {
    ...IDXD,
    rule: "there must be a queue of the type's mode that is enabled for mediated devices, and where it is dedicated, one that has none",
    errno: "ENODEV",
    source: TYPE_MAIL,
  },
  "IDXD-CREATE-2": {
    ...IDXD,
    rule: "there must be a PASID of the host's left",
    errno: "ENOSPC",
    source: LINE_MAIL,
  },
  "IDXD-CREATE-3": {
    ...IDXD,
    rule: "a device that shares its queue gets the one that the fewest share",
    source: TYPE_MAIL,
    observable: "internal",
  },
  "IDXD-AVAILABLE-1": {
    ...IDXD,
    rule: "as many devices can be made as available_instances says: of dedicated queues one each, of shared ones as many as there are PASIDs",
    source: TYPE_MAIL,
    observable: "sysfs",
  },
  "IDXD-REMOVE-1": {
    ...IDXD,
    rule: "a device that is removed leaves its queue, its PASIDs and its interrupts to others",
    source: TYPE_MAIL,
    observable: "sysfs",
  },
});

export const steps = {
  ...queueSteps,
  ...fileSteps,
  ...configSteps,
  ...mmioSteps,
  ...errorSteps,
  ...interruptSteps,
  ...commandSteps,
  ...queueCommandSteps,
  ...memorySteps,
  ...descriptorSteps,
  ...hostDescriptorSteps,
  ...portalSteps,
  ...logSteps,
  ...deviceSteps,

  /** The accelerator of a topology; null where it has none. */
  boot({ topology }: Kernel): Accelerator | null {
    return topology.workQueues ? new Accelerator(topology.workQueues) : null;
  },

  /** Queues of a mode that take another device. */
  queuesFor(k: Kernel, mode: QueueMode): readonly WorkQueue[] {
    const queues = k.accelerator?.queues ?? [];
    return queues.filter(
      (queue) =>
        queue.mode === mode && k.idxd.isForGuests(queue) && (mode === "shared" || queue.instances.length === 0),
    );
  },

  /** Whether a queue is enabled for mediated devices. */
  isForGuests({ driver, type }: WorkQueue): boolean {
    return driver === "mdev" && type === "mdev";
  },

  /** find_available_mdev_instances */
  available(k: Kernel, mode: QueueMode): number {
    const queues = k.idxd.queuesFor(k, mode).length;
    const pasids = k.accelerator?.freePasids ?? 0;
    k.keeps(rule["IDXD-AVAILABLE-1"]);
    if (mode === "shared") return queues > 0 ? pasids : 0;
    return Math.min(queues, pasids);
  },

  /** vdcm_vidxd_create */
  createDevice(k: Kernel, mode: QueueMode): VirtualDsa {
    const { accelerator } = k;
    const [first, ...others] = k.idxd.queuesFor(k, mode);
    must(accelerator !== null && first !== undefined, rule["IDXD-CREATE-1"]);
    must(accelerator.freePasids > 0, rule["IDXD-CREATE-2"]);
    const queue = others.reduce((least, each) => (each.clients < least.clients ? each : least), first);
    const device = new VirtualDsa(k, queue, (made) => ({
      pasid: accelerator.takePasid(made),
      // Vector 0 is emulated.
      entries: Array.from({ length: VECTORS }, (_, vector) => (vector === 0 ? null : accelerator.takeIms())),
    }));
    queue.instances.push(device);
    if (queue.dedicated) queue.running = false;
    else k.keeps(rule["IDXD-CREATE-3"]);
    return device;
  },

  /** idxd_vdcm_remove: nobody has the device open any more. */
  removeDevice(k: Kernel, device: VirtualDsa): void {
    const { accelerator } = k;
    if (!accelerator) return;
    const { queue, vectors, pasid } = device;
    queue.instances.splice(queue.instances.indexOf(device), 1);
    for (const entry of vectors.entries) if (entry !== null) accelerator.ims.delete(entry);
    accelerator.putPasid(pasid);
    k.keeps(rule["IDXD-REMOVE-1"]);
  },
};

const type = (name: string, description: string, mode: QueueMode): MdevType => ({
  name: `idxd-${name}`,
  label: name,
  description,
  vendor: null,
  units: 0,
  available: (k) => k.idxd.available(k, mode),
  probe: (k) => k.idxd.createDevice(k, mode),
});

/** The first versions called the only type 1dwq-v1. */
export const idxd: MdevDriver = {
  name: "idxd",
  countedBy: "driver",
  types: [
    type("dsa-1dwq-v1", "one dedicated work queue", "dedicated"),
    type("dsa-1swq-v1", "one shared work queue", "shared"),
  ],
  capacity: 0,
  full: rule["IDXD-CREATE-1"],
};
