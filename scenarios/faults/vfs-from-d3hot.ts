/** A physical function that its user has put into D3hot is left there when it gets virtual ones. */
import type { Fault } from "./fault.ts";

export const vfsFromD3hot: Fault = {
  id: "vfs-from-d3hot",
  title: "a physical function stays in D3hot when its virtual ones are made",
  cites: "f4162eb1e2fc vfio/pci: Change the PF power state to D0 before enabling VFs (5.19)",
  breaks: "difference",
  machine: "sriov",
  shownBy: "sr-iov",
  apply(k) {
    k.vfioPci = { ...k.vfioPci, powerUpForVfs() {} };
  },
};
