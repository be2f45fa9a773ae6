/** The last close of a device forgets the VM reference that the open took. */
import type { Fault } from "./fault.ts";

export const vmNotPut: Fault = {
  id: "vm-not-put",
  title: "closing a device does not put its VM",
  cites: "seeded",
  breaks: "references-balance",
  shownBy: "emulated-devices",
  apply(k) {
    k.vfio = {
      ...k.vfio,
      putKvm(_kernel, device) {
        device.kvm = null;
      },
    };
  },
};
