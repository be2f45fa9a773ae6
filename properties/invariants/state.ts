/** Invariants over the model's state. */
import type { Machine } from "../../model/machine.ts";
import type { VfioDevice } from "../../model/vfio/device.ts";
import { DeviceFile } from "../../model/vfio/device.ts";
import type { StateInvariant } from "./invariant.ts";

/** Every registered VFIO device. */
function* vfioDevices({ k }: Machine): Generator<VfioDevice> {
  for (const { vfio } of k.functions) if (vfio) yield vfio;
  for (const { vfio } of k.mdevs) if (vfio) yield vfio;
}

/** Device files that descriptors name. */
function* deviceFiles({ k }: Machine): Generator<DeviceFile> {
  for (const [, file] of k.fds.open()) if (file instanceof DeviceFile) yield file;
}

export const oneCdevOpen: StateInvariant = {
  kind: "state",
  id: "cdev-one-open",
  title: "a device that is open through its own node is open once",
  broken(machine) {
    for (const device of vfioDevices(machine)) {
      if (device.cdevOpened && device.openCount !== 1) {
        return `${device.name} is open through its node and its open count is ${device.openCount}`;
      }
    }
    const bound = new Set<VfioDevice>();
    for (const file of new Set(deviceFiles(machine))) {
      if (file.group || !file.accessGranted) continue;
      if (bound.has(file.device)) return `two files of ${file.device.name}'s node have access`;
      bound.add(file.device);
    }
    return undefined;
  },
};

export const groupXorCdev: StateInvariant = {
  kind: "state",
  id: "group-xor-cdev",
  title: "a group is open, or one of its devices is bound through its own node, never both",
  broken(machine) {
    for (const { group } of vfioDevices(machine)) {
      if (group.openedFile && group.cdevDeviceOpenCount > 0) {
        return `the group of ${group.devices[0]?.name} is open while ${group.cdevDeviceOpenCount} of its devices are bound`;
      }
      if (group.cdevDeviceOpenCount < 0) return `the group of ${group.devices[0]?.name} counts bound devices below zero`;
    }
    return undefined;
  },
};

/** Access that was granted once, per machine. */
const granted = new WeakMap<Machine, Set<DeviceFile>>();

export const accessMonotone: StateInvariant = {
  kind: "state",
  id: "access-monotone",
  title: "access, once granted, lasts as long as the file",
  broken(machine) {
    let seen = granted.get(machine);
    for (const file of deviceFiles(machine)) {
      if (file.accessGranted) {
        if (!seen) {
          seen = new Set();
          granted.set(machine, seen);
        }
        seen.add(file);
      } else if (seen?.has(file)) {
        return `access to ${file.device.name} was taken back`;
      }
    }
    return undefined;
  },
};

export const openDevicesAreBacked: StateInvariant = {
  kind: "state",
  id: "open-is-backed",
  title: "an open device has an IOMMU behind it: a container with a backend, or an iommufd that knows it",
  broken(machine) {
    for (const device of vfioDevices(machine)) {
      const bound = device.iommufdDevice !== null || device.iommufdAccess !== null;
      if (device.openCount === 0) {
        if (bound) return `${device.name} is closed and still bound to an iommufd`;
      } else if (!bound && !device.group.container?.iommu) {
        return `${device.name} is open with nothing behind it`;
      }
    }
    return undefined;
  },
};

export const inUseStays: StateInvariant = {
  kind: "state",
  id: "in-use-stays",
  title: "an object that is in use can't be destroyed: whatever is attached to is still there",
  broken(machine) {
    for (const device of vfioDevices(machine)) {
      const ioas = device.iommufdAccess?.ioas;
      if (ioas && ioas.context.get(ioas.id) !== ioas) return `${device.name} is attached to an IOAS that is gone`;
      const hwpt = device.iommufdDevice?.igroup.hwpt;
      if (!hwpt) continue;
      if (hwpt.context.get(hwpt.id) !== hwpt) return `${device.name} is attached to a page table that is gone`;
      if (hwpt.ioas.context.get(hwpt.ioas.id) !== hwpt.ioas) return `${device.name} is attached to an IOAS that is gone`;
    }
    return undefined;
  },
};

export const lockOrder: StateInvariant = {
  kind: "state",
  id: "lock-order",
  title: "locks are always taken in one order",
  broken({ k }) {
    const [cycle] = k.order.cycles;
    return cycle ? `${cycle.inverted} after ${cycle.established}` : undefined;
  },
};

export const locksDropped: StateInvariant = {
  kind: "state",
  id: "locks-dropped",
  title: "a call returns with no lock held",
  broken({ k }) {
    const [held] = k.task.held;
    return held ? `${held.class.name} is still held` : undefined;
  },
};
