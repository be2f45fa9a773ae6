/** Invariants of page faults that wait for user space. */
import type { StateInvariant } from "./invariant.ts";

export const faultsOfAttached: StateInvariant = {
  kind: "state",
  id: "faults-of-attached",
  title: "whatever waits in a fault queue is of a device that is attached to a page table with that queue",
  broken({ machine }) {
    for (const { objects } of machine.k.iommufdContexts) {
      for (const object of objects.values()) {
        if (object.kind !== "fault") continue;
        for (const { device, via } of [...object.deliver, ...object.response.values()]) {
          if (device.igroup.attachments.get(via)?.hwpt.fault !== object)
            return `a fault of device ${device.id} waits, and it has left`;
        }
      }
    }
    return undefined;
  },
};
