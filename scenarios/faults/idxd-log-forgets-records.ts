/** Of what descriptors write only the destinations are logged. */
import type { Fault } from "./fault.ts";

const RECORD = 32;

export const idxdLogForgetsRecords: Fault = {
  id: "idxd-log-forgets-records",
  title: "completion records are not logged as written",
  cites: "seeded",
  breaks: "difference",
  shownBy: "idxd-guests",
  machine: "idxd",
  apply(k) {
    const right = k.idxd.wrote;
    k.idxd = {
      ...k.idxd,
      wrote(device, file, pasid, iova, length) {
        if (length !== RECORD) right(device, file, pasid, iova, length);
      },
    };
  },
};
