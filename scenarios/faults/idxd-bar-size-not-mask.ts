/** In the series for idxd a BAR that was asked for its size answered the size, in the place of the mask that PCI has. */
import type { Fault } from "./fault.ts";

const ALL_ONES = 0xffff_ffff;

export const idxdBarSizeNotMask: Fault = {
  id: "idxd-bar-size-not-mask",
  title: "a BAR keeps, of all ones that are written, the size of its region",
  cites:
    "never merged: [PATCH RFC v2 10/18] dmaengine: idxd: add emulation rw routines <159534740139.28840.8782422568949418156.stgit@djiang5-desk3.ch.intel.com>",
  breaks: "difference",
  shownBy: "idxd-guests",
  machine: "idxd",
  apply(k) {
    const right = k.idxd.addressBits;
    k.idxd = {
      ...k.idxd,
      addressBits(value, size) {
        return value === ALL_ONES ? size : right(value, size);
      },
    };
  },
};
