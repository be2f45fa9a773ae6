/** Invariants over VMs and the VFIO files that they were told of. */
import type { Vm } from "../../model/kvm/kvm.ts";
import type { StateInvariant } from "./invariant.ts";

export const recordedVmsLive: StateInvariant = {
  kind: "state",
  id: "recorded-vm-lives",
  title: "a VM that a group, a file or an open device has on record is alive",
  broken({ machine: { k }, devices, deviceFiles }) {
    const gone = (vm: Vm | null): boolean => vm !== null && !k.vms.has(vm);
    for (const { name, group, kvm } of devices) {
      if (gone(group.kvm)) return `the group of ${name} has a VM on record that is gone`;
      if (gone(kvm)) return `${name} holds a VM that is gone`;
    }
    for (const { device, kvm } of deviceFiles) {
      if (gone(kvm)) return `a file of ${device.name} has a VM on record that is gone`;
    }
    return undefined;
  },
};
