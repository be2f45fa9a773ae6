/** The device belongs to its VM by the time that its file can't be had: no other can be made, and the VM never goes. */
import type { Fault } from "./fault.ts";

export const kvmDeviceWithoutFile: Fault = {
  id: "kvm-device-without-file",
  title: "KVM_CREATE_DEVICE leaves the device in its VM where there is no memory for its file",
  cites: "seeded",
  breaks: "refused-no-trace",
  shownBy: "allocation-failures",
  apply(k) {
    k.kvm = {
      ...k.kvm,
      *makeDeviceFile(kernel) {
        kernel.alloc();
      },
    };
  },
};
