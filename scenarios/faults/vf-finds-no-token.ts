/** A virtual function does not find the physical one that has its token, and asks for none. */
import type { Fault } from "./fault.ts";

export const vfFindsNoToken: Fault = {
  id: "vf-finds-no-token",
  title: "virtual functions are opened without the token of their physical one",
  cites: "1ef3342a934e vfio/pci: Fix vf_token mechanism when device-specific VF drivers are used (5.18)",
  breaks: "difference",
  machine: "sriov",
  shownBy: "sr-iov",
  apply(k) {
    const right = k.vfioPci.matchToken;
    k.vfioPci = {
      ...k.vfioPci,
      matchToken(kernel, pciFunction, token) {
        if (pciFunction.physical) {
          kernel.vfioPci.mustBeThere(pciFunction);
          return;
        }
        right(kernel, pciFunction, token);
      },
    };
  },
};
