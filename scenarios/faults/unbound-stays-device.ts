/** A function that vfio-pci loses stays a VFIO device, which anybody may open. */
import type { Fault } from "./fault.ts";

export const unboundStaysDevice: Fault = {
  id: "unbound-stays-device",
  title: "unbinding a function leaves its VFIO device",
  cites: "seeded",
  breaks: "vfio-while-bound",
  shownBy: "driver-binding",
  apply(k) {
    k.vfioPci = { ...k.vfioPci, *remove() {} };
  },
};
