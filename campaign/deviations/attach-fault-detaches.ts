/** ATTACH of an attached device moves it; when the answer can't be written, it ends up attached to nothing. */
import { refuse } from "../../model/kernel/clause.ts";
import { rule } from "../../model/vfio/device-cdev-attach.ts";
import type { Deviation } from "./deviation.ts";

export const attachFaultDetaches: Deviation = {
  id: "attach-fault-detaches",
  title: "VFIO_DEVICE_ATTACH_IOMMUFD_PT that ends in EFAULT leaves a device detached that was attached before",
  clause: "VFIO-CDEV-ATTACH-5",
  since: "6.6",
  source: "drivers/vfio/device_cdev.c:vfio_df_ioctl_attach_pt",
  upstream: "searched, none found",
  evidence: "attach-fault-detaches",
  apply(k, fired) {
    k.deviceCdev = {
      ...k.deviceCdev,
      *undoAttach(kernel, device, before) {
        if (before !== null) fired();
        yield* kernel.vfioIommufd.detach(kernel, device);
        return refuse(rule["VFIO-CDEV-ATTACH-5"]);
      },
    };
  },
};
