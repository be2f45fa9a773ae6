/**
 * Every close of a device takes it out of its container, not only the last. The kernel had a list of devices there, the
 * model counts users; undone too often they are alike.
 */
import type { Fault } from "./fault.ts";

export const closeUnregistersEachTime: Fault = {
  id: "close-unregisters-each-time",
  title: "closing one of two files of a device lets go of the container that the other needs",
  cites: "7fdba0011157 vfio: Fix container device registration life cycle (6.1)",
  breaks: "open-is-backed",
  shownBy: "iommufd-objects",
  apply(k) {
    const right = k.vfio.close;
    k.vfio = {
      ...k.vfio,
      *close(kernel, file) {
        const { device } = file;
        if (device.openCount > 1 && device.group.container) kernel.group.unuseContainer(kernel, device.group);
        yield* right(kernel, file);
      },
    };
  },
};
