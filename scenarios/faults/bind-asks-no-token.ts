/** A device that is bound through its own node need not show the token of its physical function. */
import type { Fault } from "./fault.ts";

export const bindAsksNoToken: Fault = {
  id: "bind-asks-no-token",
  title: "VFIO_DEVICE_BIND_IOMMUFD of a virtual function takes whoever gives no token",
  cites: "86624ba3b522 vfio/pci: Do vf_token checks for VFIO_DEVICE_BIND_IOMMUFD (6.17)",
  breaks: "difference",
  machine: "sriov",
  shownBy: "sr-iov",
  apply(k) {
    const right = k.deviceCdev.checkToken;
    k.deviceCdev = {
      ...k.deviceCdev,
      checkToken(kernel, device, token) {
        if (token) right(kernel, device, token);
      },
    };
  },
};
