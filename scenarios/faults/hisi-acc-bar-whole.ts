/** A user of a HiSilicon accelerator has the half of BAR 2 that migrates it. */
import type { Fault } from "./fault.ts";

export const hisiAccBarWhole: Fault = {
  id: "hisi-acc-bar-whole",
  title: "the half of BAR 2 that belongs to the driver is told of, read and mapped as well",
  cites: "6abdce51af1a hisi_acc_vfio_pci: Restrict access to VF dev BAR2 migration region (5.18)",
  breaks: "difference",
  shownBy: "driver-hisi-acc",
  machine: "variants",
  apply(k) {
    k.hisiAcc = { ...k.hisiAcc, half: () => null };
  },
};
