/** A stream of a device whose queues are isolated otherwise is taken: the errno of the comparison was lost. */
import type { Fault } from "./fault.ts";

/** Where magic, queues and device end, and what tells of isolation begins. */
const ISOLATION_AT = 16;

export const hisiAccIsolationIgnored: Fault = {
  id: "hisi-acc-isolation-ignored",
  title: "a stream of an accelerator whose queues are isolated in another way matches",
  cites: "hisi_acc_vfio_pci: Fixes error return code issue (6.2)",
  breaks: "difference",
  shownBy: "driver-hisi-acc",
  machine: "variants",
  apply(k) {
    const right = k.hisiAcc.checkMatch;
    k.hisiAcc = {
      ...k.hisiAcc,
      checkMatch(own, came) {
        const patched = came.slice();
        patched.set(own.subarray(ISOLATION_AT, ISOLATION_AT + 4), ISOLATION_AT);
        right(own, patched);
      },
    };
  },
};
