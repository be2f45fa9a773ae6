/** On x86 KVM_CREATE_DEVICE works, and the extension that stands for it was not said to be there. */
import type { Deviation } from "./deviation.ts";

export const deviceCtrlUnsaid: Deviation = {
  id: "device-ctrl-unsaid",
  title: "KVM_CHECK_EXTENSION answers 0 for KVM_CAP_DEVICE_CTRL, and KVM_CREATE_DEVICE works",
  clause: "KVM-EXTENSION-1",
  since: "6.1",
  until: "6.7",
  source: "arch/x86/kvm/x86.c:kvm_vm_ioctl_check_extension",
  upstream: "63912245c19d KVM: move KVM_CAP_DEVICE_CTRL to the generic check",
  evidence: "device-ctrl-unsaid",
  apply(k, fired) {
    k.kvm = {
      ...k.kvm,
      saysDeviceControl() {
        fired();
        return 0;
      },
    };
  },
};
