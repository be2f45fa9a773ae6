/** A device that is being taken away can be opened once more through its group: it is hidden only when its last file is closed. */
import type { Deviation } from "./deviation.ts";

const ID = "leaving-device-opened";

export const leavingDeviceOpened: Deviation = {
  id: ID,
  title: "a device that is being taken away, and is open, is opened again through its group",
  clause: "VFIO-DEV-LEAVE-4",
  since: "6.1",
  until: "6.5",
  source: "drivers/vfio/vfio_main.c:vfio_unregister_group_dev",
  upstream: 'fixed in 6.6 by "vfio: Move vfio_device_group_unregister() to be the first operation in unregister"',
  evidence: ID,
  apply(k, fired) {
    const { hide, awaitUsers } = k.vfio;
    k.vfio = {
      ...k.vfio,
      *hide(kernel, device) {
        if (device.registrations === 0) yield* hide(kernel, device);
      },
      *awaitUsers(kernel, device) {
        const isOpen = device.registrations > 0;
        if (isOpen) fired();
        yield* awaitUsers(kernel, device);
        if (isOpen) yield* hide(kernel, device);
      },
    };
  },
};
