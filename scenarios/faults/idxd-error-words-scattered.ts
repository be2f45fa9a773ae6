/** In version 4 of the series for idxd the pointer into SWERR moved on by whole records, so that its later words went elsewhere. */
import { REG } from "../../model/mdev/idxd/registers.ts";
import type { Fault } from "./fault.ts";

export const idxdErrorWordsScattered: Fault = {
  id: "idxd-error-words-scattered",
  title: "of an error of the hardware only the first words get to the guest's SWERR",
  cites:
    "never merged: [PATCH v4 17/17] dmaengine: idxd: add error notification from host driver to mediated device <160408396666.912050.13272769874427386756.stgit@djiang5-desk3.ch.intel.com>",
  breaks: "difference",
  shownBy: "idxd-guests",
  machine: "idxd",
  apply(k) {
    k.idxd = {
      ...k.idxd,
      storeError(registers, record) {
        registers.setBigUint64(REG.SWERR, record.getBigUint64(0, true), true);
      },
    };
  },
};
