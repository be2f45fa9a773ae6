/** Before Linux 5.14 mtty said how many devices can be made, and made more. */
import type { Fault } from "./fault.ts";

export const mdevNotCounted: Fault = {
  id: "mdev-not-counted",
  title: "a device is made whether or not its parent has room for it",
  cites: "97d0a6874478 vfio/mtty: Enforce available_instances",
  breaks: "mdev-counted",
  shownBy: "mdev-lifecycle",
  apply(k) {
    k.mdev = {
      ...k.mdev,
      take(parent, type) {
        parent.free -= type.units;
      },
    };
  },
};
