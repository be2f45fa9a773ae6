/** Invariants over the model's state. */
import type { IommufdObject } from "../../model/iommufd/objects.ts";
import type { Machine } from "../../model/machine.ts";
import type { DeviceFile } from "../../model/vfio/device.ts";
import type { StateInvariant } from "./invariant.ts";

export const oneCdevOpen: StateInvariant = {
  kind: "state",
  id: "cdev-one-open",
  title: "a device that is open through its own node is open once",
  broken({ devices, deviceFiles }) {
    for (const device of devices) {
      if (device.cdevOpened && device.openCount !== 1) {
        return `${device.name} is open through its node and its open count is ${device.openCount}`;
      }
    }
    for (const [at, file] of deviceFiles.entries()) {
      if (file.group || !file.accessGranted) continue;
      for (let other = 0; other < at; other++) {
        const before = deviceFiles[other];
        if (before && before !== file && before.device === file.device && !before.group && before.accessGranted) {
          return `two files of ${file.device.name}'s node have access`;
        }
      }
    }
    return undefined;
  },
};

export const groupXorCdev: StateInvariant = {
  kind: "state",
  id: "group-xor-cdev",
  title: "a group is open, or one of its devices is bound through its own node, never both",
  broken({ devices }) {
    for (const { group } of devices) {
      if (group.openedFile && group.cdevDeviceOpenCount > 0) {
        return `the group of ${group.devices[0]?.name} is open while ${group.cdevDeviceOpenCount} of its devices are bound`;
      }
      if (group.cdevDeviceOpenCount < 0)
        return `the group of ${group.devices[0]?.name} counts bound devices below zero`;
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
  broken({ machine, deviceFiles }) {
    if (deviceFiles.length === 0) return undefined;
    let seen = granted.get(machine);
    for (const file of deviceFiles) {
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
  broken({ devices }) {
    for (const device of devices) {
      const bound = device.iommufdDevice !== null || device.iommufdAccess !== null;
      if (device.openCount === 0) {
        if (bound) return `${device.name} is closed and still bound to an iommufd`;
      } else if (device.group.type === "noiommu") {
        if (bound) return `${device.name} has no IOMMU and is bound to an iommufd`;
      } else if (!bound && !device.group.container?.driver) {
        return `${device.name} is open with nothing behind it`;
      }
    }
    return undefined;
  },
};

/** What an object of an iommufd uses, so that it must stay; null where it uses nothing, or where its group does. */
function usedBy(object: IommufdObject): IommufdObject | null {
  switch (object.kind) {
    case "hwpt":
    case "access":
      return object.ioas;
    case "nested":
      return object.base;
    case "viommu":
      return object.hwpt;
    case "vdevice":
    case "veventq":
    case "hw-queue":
      return object.viommu;
    case "device":
    case "ioas":
    case "fault":
    case "selftest":
      return null;
  }
}

export const inUseStays: StateInvariant = {
  kind: "state",
  id: "in-use-stays",
  title: "an object that is in use can't be destroyed: whatever is attached to is still there",
  broken({ machine }) {
    for (const { objects } of machine.k.iommufdContexts) {
      for (const object of objects.values()) {
        if (object.kind === "device") {
          for (const [pasid, { hwpt }] of object.igroup.attachments) {
            if (objects.get(hwpt.id) !== hwpt)
              return `PASID ${pasid} of ${object.id} is attached to an hwpt that is gone`;
          }
        }
        const used = usedBy(object);
        if (used && objects.get(used.id) !== used)
          return `the ${object.kind} ${object.id} uses an ${used.kind} that is gone`;
        const queue = object.kind === "hwpt" || object.kind === "nested" ? object.fault : null;
        if (queue && objects.get(queue.id) !== queue) return `the faults of ${object.kind} ${object.id} go to no queue`;
      }
    }
    return undefined;
  },
};

export const lockOrder: StateInvariant = {
  kind: "state",
  id: "lock-order",
  title: "locks are always taken in one order",
  broken({ machine: { k } }) {
    const [cycle] = k.order.cycles;
    return cycle ? `${cycle.inverted} after ${cycle.established}` : undefined;
  },
};

export const locksDropped: StateInvariant = {
  kind: "state",
  id: "locks-dropped",
  title: "a call returns with no lock held",
  broken({ machine: { k } }) {
    const [held] = k.task.held;
    return held ? `${held.class.name} is still held` : undefined;
  },
};
