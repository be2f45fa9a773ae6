/**
 * Writing sriov_numvfs takes pci_rescan_remove_lock under device_lock, where removing a function takes them the other way
 * round: both wait for ever when they meet. Today's kernels do, see
 * https://lkml.iu.edu/2603.2/02847.html; it takes two processors, or luck, to see it in a guest.
 */
import { locksOf } from "../../model/pci/locks.ts";
import type { Fault } from "./fault.ts";

export const numvfsLocksInverted: Fault = {
  id: "numvfs-locks-inverted",
  title:
    "sriov_numvfs takes pci_rescan_remove_lock under device_lock, removals device_lock under pci_rescan_remove_lock",
  cites: "a5338e365c45 PCI/IOV: Fix race between SR-IOV enable/disable and hotplug",
  breaks: "lock-order",
  machine: "sriov",
  shownBy: "leaving",
  apply(k) {
    k.sriov = {
      ...k.sriov,
      *underLocks(kernel, pciFunction, change) {
        using _device = yield* kernel.lock(locksOf(pciFunction).device);
        using _rescan = yield* kernel.lock(kernel.removed.lock);
        yield* change;
      },
    };
  },
};
