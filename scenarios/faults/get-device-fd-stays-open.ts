/** The device is open by the time that its file can't be had, and nobody closes it. */
import type { Fault } from "./fault.ts";

export const getDeviceFdStaysOpen: Fault = {
  id: "get-device-fd-stays-open",
  title: "VFIO_GROUP_GET_DEVICE_FD leaves the device open where there is no memory for its file",
  cites: "seeded",
  breaks: "refused-no-trace",
  shownBy: "allocation-failures",
  apply(k) {
    k.group = {
      ...k.group,
      *makeFile(kernel) {
        kernel.alloc();
      },
    };
  },
};
