/** In the series for idxd vectors were set from the first on, whichever was asked for. */
import type { Fault } from "./fault.ts";

export const idxdIrqsIgnoreStart: Fault = {
  id: "idxd-irqs-ignore-start",
  title: "vectors are set and raised from the first on, whatever start says",
  cites:
    "never merged: [PATCH v5 05/14] vfio/mdev: idxd: add basic mdev registration and helper functions <161255840486.339900.5478922203128287192.stgit@djiang5-desk3.ch.intel.com>",
  breaks: "difference",
  shownBy: "idxd-guests",
  machine: "idxd",
  apply(k) {
    k.idxd = {
      ...k.idxd,
      vectorOf(_start, nth) {
        return nth;
      },
    };
  },
};
