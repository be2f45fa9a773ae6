/** In the series for idxd queues counted as available that were of the type but not enabled, and none could be made of them. */
import type { Fault } from "./fault.ts";

export const idxdAvailableCountsDisabled: Fault = {
  id: "idxd-available-counts-disabled",
  title: "available_instances counts dedicated queues of type mdev that are disabled",
  cites:
    "never merged: [PATCH v5 07/14] vfio/mdev: idxd: add 1dwq-v1 mdev type <161255841792.339900.13314425685185083794.stgit@djiang5-desk3.ch.intel.com>",
  breaks: "difference",
  shownBy: "idxd-guests",
  machine: "idxd",
  apply(k) {
    const right = k.idxd.available;
    k.idxd = {
      ...k.idxd,
      available(kernel, mode) {
        const queues = kernel.accelerator?.queues ?? [];
        const disabled = queues.filter(
          (queue) => queue.mode === mode && queue.type === "mdev" && queue.driver === null,
        );
        return right(kernel, mode) + (mode === "dedicated" ? disabled.length : 0);
      },
    };
  },
};
