/** Goals about VMs that are told of files. */
import type { Goal } from "../coverage.ts";
import { ioctlEnded } from "./ended.ts";
import { KVM } from "./needs.ts";

export const kvmFileAdded = ioctlEnded("kvm-file", "a VM was told of a file, or forgot one", "KVM_SET_DEVICE_ATTR", 0);
export const kvmSecondDevice = ioctlEnded(
  "kvm-second-device",
  "a VM was refused a second VFIO device",
  "KVM_CREATE_DEVICE",
  "EBUSY",
  KVM,
);
export const kvmFileTwice = ioctlEnded(
  "kvm-file-twice",
  "a VM was told of a file that it knows",
  "KVM_SET_DEVICE_ATTR",
  "EEXIST",
  KVM,
);
export const kvmFileUnknown = ioctlEnded(
  "kvm-file-unknown",
  "a VM was to forget a file that it does not know",
  "KVM_SET_DEVICE_ATTR",
  "ENOENT",
  KVM,
);
export const kvmNoVfioFile = ioctlEnded(
  "kvm-no-vfio-file",
  "a VM was told of a file that is none of VFIO's",
  "KVM_SET_DEVICE_ATTR",
  "EINVAL",
  KVM,
);
export const kvmVmOutlives: Goal = {
  id: "kvm-vms-counted",
  title: "VMs were counted while there were some",
  needs: KVM,
  reached: (call, { ret }) => call.op === "probe" && call.probe.kind === "vms" && ret > 0,
};
