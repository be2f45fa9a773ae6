/** The command register of a virtual function reads as hardware has it: without the bit for memory. */
import { COMMAND } from "../../model/vfio-pci/config-perms.ts";
import type { Fault } from "./fault.ts";

export const vfMemoryDisabled: Fault = {
  id: "vf-memory-disabled",
  title: "memory of a virtual function reads as disabled, and can't be enabled",
  cites: "ebfa440ce38b vfio/pci: Fix SR-IOV VF handling with MMIO blocking (5.8)",
  breaks: "difference",
  machine: "sriov",
  shownBy: "sr-iov",
  apply(k) {
    const right = k.vfioPci.configByte;
    k.vfioPci = {
      ...k.vfioPci,
      configByte(kernel, space, at) {
        const byte = right(kernel, space, at);
        return space.isVirtual && at === COMMAND.AT ? byte & ~COMMAND.MEMORY : byte;
      },
    };
  },
};
