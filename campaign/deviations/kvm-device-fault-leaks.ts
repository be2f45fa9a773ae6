/** KVM_CREATE_DEVICE whose answer can't be written has made the device all the same. */
import type { Deviation } from "./deviation.ts";

export const kvmDeviceFaultLeaks: Deviation = {
  id: "kvm-device-fault-leaks",
  title: "KVM_CREATE_DEVICE that ends in EFAULT leaves a device and a descriptor that nobody was told of",
  clause: "KVM-VFIO-CREATE-6",
  since: "6.1",
  source: "virt/kvm/kvm_main.c:kvm_vm_ioctl",
  upstream: "searched, none found",
  evidence: "kvm-device-fault-leaks",
  apply(k, fired) {
    const right = k.kvm.canReturnDevice;
    k.kvm = {
      ...k.kvm,
      canReturnDevice(block) {
        if (!right(block)) fired();
        return true;
      },
    };
  },
};
