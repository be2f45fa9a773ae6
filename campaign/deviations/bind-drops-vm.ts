/** BIND on a device that is open already fails, as it must, and takes the VM reference of whoever has it open. */
import { type Deviation, Ruined } from "./deviation.ts";

const HERE = {
  clause: "refused-no-trace",
  since: "6.6",
  source: "drivers/vfio/device_cdev.c:vfio_df_ioctl_bind_iommufd",
  upstream:
    "reported with a patch in 2024 that was not applied: https://lore.kernel.org/kvm/20240628151845.22166-1-yan.y.zhao@intel.com/",
} as const;

export const bindDropsVm: Deviation = {
  ...HERE,
  id: "bind-drops-vm",
  title: "a refused VFIO_DEVICE_BIND_IOMMUFD drops the VM reference of the file that has the device open",
  evidence: "bind-drops-vm",
  apply(k, fired) {
    k.deviceCdev = {
      ...k.deviceCdev,
      dropKvm(kernel, device) {
        if (device.openCount > 0 && device.kvm) fired();
        kernel.vfio.putKvm(kernel, device);
      },
    };
  },
};

/**
 * The same, where the refused file has a VM of its own recorded: its reference overwrites the one that the device holds,
 * is put, and the other is never put again. The VM stays until the next boot.
 */
export const bindLeaksVm: Deviation = {
  ...HERE,
  id: "bind-leaks-vm",
  title:
    "a refused VFIO_DEVICE_BIND_IOMMUFD of a file that kvm-vfio knows leaks the VM that the open device holds, for good",
  evidence: "bind-leaks-vm",
  destructive: true,
  apply(k) {
    const right = k.deviceCdev.takeKvm;
    k.deviceCdev = {
      ...k.deviceCdev,
      *takeKvm(kernel, file) {
        if (file.device.openCount > 0 && file.kvm) {
          throw new Ruined("the VM that this kernel leaks next", "bind-leaks-vm");
        }
        yield* right(kernel, file);
      },
    };
  },
};
