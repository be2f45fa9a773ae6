/** Before Linux 5.15 a device of mbochs that could not be made kept the memory it had taken of its parent. */
import type { Fault } from "./fault.ts";

export const mdevFailedCreateKeeps: Fault = {
  id: "mdev-failed-create-keeps",
  title: "making a device that is refused for lack of room takes of the parent all the same",
  cites: "de5494af4815 vfio/mbochs: Fix missing error unwind of mbochs_used_mbytes",
  breaks: "mdev-counted",
  shownBy: "mdev-lifecycle",
  apply(k) {
    const right = k.mdev.take;
    k.mdev = {
      ...k.mdev,
      take(parent, type) {
        try {
          right(parent, type);
        } catch (refusal) {
          // What is left, too little as it is, is gone.
          parent.free = Math.max(0, parent.free - 1);
          throw refusal;
        }
      },
    };
  },
};
