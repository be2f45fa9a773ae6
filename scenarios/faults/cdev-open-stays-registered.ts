/** An open for which there is no memory has counted itself by then: the driver waits for it for ever. */
import type { Fault } from "./fault.ts";

export const cdevOpenStaysRegistered: Fault = {
  id: "cdev-open-stays-registered",
  title: "opening a device's node keeps the device registered where there is no memory for its file",
  cites: "seeded",
  breaks: "refused-no-trace",
  shownBy: "allocation-failures",
  apply(k) {
    const right = k.deviceCdev.open;
    k.deviceCdev = {
      ...k.deviceCdev,
      open(kernel, device, mode) {
        const { registrations } = device;
        try {
          return right(kernel, device, mode);
        } catch (refusal) {
          device.registrations = registrations + 1;
          throw refusal;
        }
      },
    };
  },
};
