/** The locks of a PCI function: device_lock(), and the memory_lock and igate of its struct vfio_pci_core_device. */
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { PciFunction } from "./function.ts";

const deviceLock = new LockClass("device_lock");
/** A physical function's is held while its virtual ones lose their drivers. */
const virtualDeviceLock = new LockClass("device_lock of a virtual function");
const memoryLock = new LockClass("vdev->memory_lock");
const interruptGate = new LockClass("vdev->igate");

export class FunctionLocks {
  /** Held over binding, unbinding and every reset. */
  readonly device: Lock;
  /** Held, for writing, by whoever may change whether the device's memory answers. */
  readonly memory = new Lock(memoryLock);
  /** Held over every change of how the function interrupts. */
  readonly igate = new Lock(interruptGate);

  constructor({ spec }: PciFunction) {
    this.device = new Lock(spec.physicalFunction === null ? deviceLock : virtualDeviceLock);
  }
}

const locks = new WeakMap<PciFunction, FunctionLocks>();

/** The locks of a function. */
export function locksOf(pciFunction: PciFunction): FunctionLocks {
  let own = locks.get(pciFunction);
  if (!own) {
    own = new FunctionLocks(pciFunction);
    locks.set(pciFunction, own);
  }
  return own;
}

/**
 * Takes a lock unless somebody has it; drop it with `using`. Nobody waits here, so no order is learnt from it, and
 * nothing can run between the look and the taking.
 */
export function tryLock(k: Kernel, lock: Lock): Lock | null {
  if (lock.holder) return null;
  lock.holder = k.task;
  k.task.held.push(lock);
  return lock;
}
