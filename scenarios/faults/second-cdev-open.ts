/** A device that is open can be opened again through its own node. */
import type { Fault } from "./fault.ts";

export const secondCdevOpen: Fault = {
  id: "second-cdev-open",
  title: "BIND does not look whether the device is open already",
  cites: "seeded",
  breaks: "cdev-one-open",
  shownBy: "emulated-devices",
  apply(k) {
    k.vfio = {
      ...k.vfio,
      *open(kernel, file) {
        file.device.openCount++;
        if (file.device.openCount === 1) yield* kernel.vfio.firstOpen(kernel, file);
      },
    };
  },
};
