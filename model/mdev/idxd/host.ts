/**
 * What the host has of the accelerator: its work queues with their owners, the PASIDs that its queues are used with, and
 * the entries of its interrupt message store. Beside drivers/dma/idxd/idxd.h:struct idxd_device.
 */
import type { Access } from "../../iommufd/objects.ts";
import { Lock, LockClass } from "../../kernel/lock.ts";
import type { WorkQueueSpec } from "../../topology.ts";
import type { VirtualDsa } from "./virtual-device.ts";

const wqLock = new LockClass("wq->wq_lock");

export type QueueType = WorkQueueSpec["type"];
export type QueueMode = WorkQueueSpec["mode"];
/** Drivers of work queues: which of them has a queue follows from its type. */
export type QueueDriver = "dmaengine" | "user" | "mdev";

export const DRIVER_OF: Readonly<Record<QueueType, QueueDriver | null>> = {
  none: null,
  kernel: "dmaengine",
  user: "user",
  mdev: "mdev",
};

/** An address space that descriptors reach memory in, by a number that belongs to one user of the accelerator. */
export class HostPasid {
  readonly number: number;
  /** The virtual device that it is of; null for the process that has the char device open. */
  readonly owner: VirtualDsa | null;
  /** What the guest calls it; null for that of a device which enables none. */
  readonly guest: number | null;
  /** Where a guest's own PASID leads; null for the device's, which is attached as a whole. */
  readonly access: Access | null;
  /** Queues that are programmed with it, and whoever else must not see it given to another. */
  users = 0;

  constructor(number: number, owner: VirtualDsa | null, guest: number | null, access: Access | null) {
    this.number = number;
    this.owner = owner;
    this.guest = guest;
    this.access = access;
  }
}

/** struct idxd_wq */
export class WorkQueue {
  readonly spec: WorkQueueSpec;
  readonly index: number;
  type: QueueType;
  mode: QueueMode;
  threshold: number;
  blockOnFault: boolean;
  /** Who has it; null while it is disabled. */
  driver: QueueDriver | null;
  /** Whether the hardware takes descriptors. A dedicated one that is a guest's does once the guest says so. */
  running: boolean;
  /** Virtual devices of it: vdcm_list. */
  readonly instances: VirtualDsa[] = [];
  /** Open files of its char device. */
  files = 0;
  /** What a dedicated one is programmed with while it runs for a guest or a process. */
  pasid: HostPasid | null = null;
  readonly lock = new Lock(wqLock);

  constructor(spec: WorkQueueSpec, index: number) {
    this.spec = spec;
    this.index = index;
    this.type = spec.type;
    this.mode = spec.mode;
    this.threshold = spec.threshold;
    this.blockOnFault = spec.blockOnFault;
    this.driver = spec.enabled ? DRIVER_OF[spec.type] : null;
    this.running = spec.enabled;
  }

  get dedicated(): boolean {
    return this.mode === "dedicated";
  }

  /** Its users: idxd_wq_refcount. */
  get clients(): number {
    return this.instances.length + this.files;
  }

  trace(): number {
    const flags = (this.running ? 1 : 0) | (this.blockOnFault ? 2 : 0) | (this.dedicated ? 4 : 0);
    const owner = (this.driver?.length ?? 0) * 16 + this.type.length;
    return ((owner * 32 + this.threshold) * 8 + flags) * 32 + this.clients * 8 + (this.pasid?.number ?? 0);
  }
}

/** Few, so that programs run out of them. */
const PASIDS = 8;

/** struct idxd_device, as far as its virtual devices have to do with it. */
export class Accelerator {
  readonly queues: readonly WorkQueue[];
  readonly pasids: HostPasid[] = [];
  /** Entries of the interrupt message store that are taken. */
  readonly ims = new Set<number>();

  constructor(specs: readonly WorkQueueSpec[]) {
    this.queues = specs.map((spec, index) => new WorkQueue(spec, index));
  }

  get freePasids(): number {
    return PASIDS - this.pasids.length;
  }

  /** The lowest number that nobody has; 0 is that of the function itself. */
  takePasid(owner: VirtualDsa | null, guest: number | null = null, access: Access | null = null): HostPasid {
    let number = 1;
    while (this.pasids.some((taken) => taken.number === number)) number++;
    const pasid = new HostPasid(number, owner, guest, access);
    pasid.users++;
    this.pasids.push(pasid);
    return pasid;
  }

  /** Somebody needs it no more; with the last it is free. */
  putPasid(pasid: HostPasid): void {
    pasid.users--;
    if (pasid.users === 0) this.pasids.splice(this.pasids.indexOf(pasid), 1);
  }

  /** The lowest entry of the interrupt message store that nobody has. */
  takeIms(): number {
    let entry = 0;
    while (this.ims.has(entry)) entry++;
    this.ims.add(entry);
    return entry;
  }
}
