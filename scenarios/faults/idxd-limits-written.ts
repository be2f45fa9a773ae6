/** A guest turns on for its queue what the host has left off. */
import type { Fault } from "./fault.ts";

export const idxdLimitsWritten: Fault = {
  id: "idxd-limits-written",
  title: "a guest has its queue block on faults, whatever the host says",
  cites: "seeded",
  breaks: "idxd-limits",
  shownBy: "idxd-guests",
  machine: "idxd",
  apply(k) {
    k.idxd = {
      ...k.idxd,
      mayBlockOnFault() {
        return true;
      },
    };
  },
};
