/** Functions that a hot reset hits are not woken up before it. */
import type { Fault } from "./fault.ts";

export const hotResetLeavesAsleep: Fault = {
  id: "hot-reset-leaves-asleep",
  title: "a hot reset does not wake up the functions that it hits",
  cites: "vfio/pci: wake-up devices around reset functions (5.18)",
  breaks: "difference",
  shownBy: "low-power",
  apply(k) {
    k.hotReset = { ...k.hotReset, wake() {} };
  },
};
