/** Invariants over mediated devices and what their parents count. */
import type { StateInvariant } from "./invariant.ts";

export const mdevsUnique: StateInvariant = {
  kind: "state",
  id: "mdev-unique",
  title: "a UUID names one mediated device, whatever its parent",
  broken({ machine: { k } }) {
    const { mdevs } = k;
    for (let at = 1; at < mdevs.length; at++) {
      for (let before = 0; before < at; before++) {
        if (mdevs[at]?.uuid === mdevs[before]?.uuid) return `there are two mediated devices ${mdevs[at]?.uuid}`;
      }
    }
    return undefined;
  },
};

export const mdevsCounted: StateInvariant = {
  kind: "state",
  id: "mdev-counted",
  title: "what devices take of their parent and what is free of it make up its capacity",
  broken({ machine: { k } }) {
    const mdevs = k.leavingMdevs.length === 0 ? k.mdevs : [...k.mdevs, ...k.leavingMdevs];
    for (const parent of k.mdevParents) {
      const { driver } = parent;
      let taken = 0;
      for (const mdev of mdevs) {
        if (mdev.parent === parent && (driver.countedBy === "core" || mdev.vfio)) taken += mdev.type.units;
      }
      if (parent.free < 0) return `${driver.name} has more devices than it has room for`;
      if (taken + parent.free !== driver.capacity) {
        return `${driver.name} has ${parent.free} of ${driver.capacity} free, and its devices take ${taken}`;
      }
    }
    return undefined;
  },
};
