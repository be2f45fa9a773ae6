/** Before Linux 5.14 the driver core did not pass on what a driver's probe returned. */
import { Refusal } from "../../model/kernel/clause.ts";
import type { Fault } from "./fault.ts";

export const mdevProbeResultLost: Fault = {
  id: "mdev-probe-result-lost",
  title: "making a device that its driver refuses counts as done, and leaves a device without a driver",
  cites: "ef6dcbdd8eb2 driver core: Flow the return code from ->probe() through to sysfs bind",
  breaks: "difference",
  shownBy: "mdev-lifecycle",
  apply(k) {
    const right = k.mdev.attach;
    k.mdev = {
      ...k.mdev,
      *attach(kernel, mdev) {
        try {
          yield* right(kernel, mdev);
        } catch (thrown) {
          if (!(thrown instanceof Refusal)) throw thrown;
        }
      },
    };
  },
};
