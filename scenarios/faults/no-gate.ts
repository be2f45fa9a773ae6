/** A device's node answers commands before it was bound. */
import type { Fault } from "./fault.ts";

export const noGate: Fault = {
  id: "no-gate",
  title: "the device file does not ask whether access was granted",
  cites: "seeded",
  breaks: "gate-before-access",
  shownBy: "emulated-devices",
  apply(k) {
    k.vfio = { ...k.vfio, gate() {} };
  },
};
