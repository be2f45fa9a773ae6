/** BIND on a device that is open already fails, as it must, and takes the VM reference of whoever has it open. */
import type { Deviation } from "./deviation.ts";

export const bindDropsVm: Deviation = {
  id: "bind-drops-vm",
  title: "a refused VFIO_DEVICE_BIND_IOMMUFD drops, or overwrites, the VM reference of the file that has the device open",
  clause: "refused-no-trace",
  since: "6.6",
  source: "drivers/vfio/device_cdev.c:vfio_df_ioctl_bind_iommufd",
  upstream: "none known",
  evidence: "bind-drops-vm",
  apply(k, fired) {
    k.deviceCdev = {
      ...k.deviceCdev,
      *takeKvm(kernel, file) {
        if (file.device.openCount > 0 && file.kvm) fired();
        using _ = yield* kernel.lock(file.kvmRefLock);
        kernel.vfio.getKvm(kernel, file.device, file.kvm);
      },
      dropKvm(kernel, device) {
        if (device.openCount > 0 && device.kvm) fired();
        kernel.vfio.putKvm(kernel, device);
      },
    };
  },
};
