/** In the series for idxd an error went to every guest of its queue: of one that guests share, to all of them. */
import type { Fault } from "./fault.ts";

export const idxdErrorsBroadcast: Fault = {
  id: "idxd-errors-broadcast",
  title: "an error of a queue that guests share is told to all of them",
  cites:
    "never merged: [PATCH v4 17/17] dmaengine: idxd: add error notification from host driver to mediated device <160408396666.912050.13272769874427386756.stgit@djiang5-desk3.ch.intel.com>",
  breaks: "difference",
  shownBy: "idxd-guests",
  machine: "idxd",
  apply(k) {
    k.idxd = {
      ...k.idxd,
      concerned({ queue }) {
        return queue.instances;
      },
    };
  },
};
