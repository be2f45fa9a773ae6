/** Devices are bound through their own nodes without a look at tokens, which such kernels have no way to give there. */
import { Refusal } from "../../model/kernel/clause.ts";
import type { Deviation } from "./deviation.ts";

export const bindWithoutToken: Deviation = {
  id: "bind-without-token",
  title:
    "VFIO_DEVICE_BIND_IOMMUFD of a virtual function, or of a physical one with virtual ones in use, asks for no token",
  clause: "VFIO-PCI-TOKEN-4",
  since: "6.6",
  until: "6.16",
  source: "drivers/vfio/device_cdev.c:vfio_df_ioctl_bind_iommufd",
  upstream: "86624ba3b522 vfio/pci: Do vf_token checks for VFIO_DEVICE_BIND_IOMMUFD (6.17)",
  evidence: "bind-without-token",
  apply(k, fired) {
    const right = k.deviceCdev.checkToken;
    k.deviceCdev = {
      ...k.deviceCdev,
      checkToken(kernel, device, token) {
        try {
          right(kernel, device, token);
        } catch (refusal) {
          if (!(refusal instanceof Refusal)) throw refusal;
          fired();
        }
      },
    };
  },
};
