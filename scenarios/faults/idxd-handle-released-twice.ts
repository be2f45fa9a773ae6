/** In the series for idxd giving back a handle that nobody has told of the error, went on, and told of success. */
import { STATUS } from "../../model/mdev/idxd/registers.ts";
import type { Fault } from "./fault.ts";

export const idxdHandleReleasedTwice: Fault = {
  id: "idxd-handle-released-twice",
  title: "giving back a handle that the guest does not have ends in success",
  cites:
    "never merged: [PATCH v5 10/14] vfio/mdev: idxd: virtual device commands emulation <161255843743.339900.10371190228025336137.stgit@djiang5-desk3.ch.intel.com>",
  breaks: "difference",
  shownBy: "idxd-guests",
  machine: "idxd",
  apply(k) {
    k.idxd = {
      ...k.idxd,
      unknownHandle() {
        return STATUS.SUCCESS;
      },
    };
  },
};
