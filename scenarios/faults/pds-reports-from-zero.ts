/** pds compares the end of what is to be reported with the length of the range, as if every range began at 0. */
import type { Fault } from "./fault.ts";

export const pdsReportsFromZero: Fault = {
  id: "pds-reports-from-zero",
  title: "a log of a range that does not begin at 0 can't be reported to its end",
  cites: "4004497cec30 vfio/pds: Fix calculations in pds_vfio_dirty_sync (6.8)",
  breaks: "difference",
  shownBy: "driver-pds",
  machine: "variants",
  apply(k) {
    const right = k.pds.checkReported;
    k.pds = {
      ...k.pds,
      checkReported(ranges, iova, length) {
        const moved = ranges.map(({ first, last }) => ({ first, last: last - first }));
        right(moved, iova, length);
      },
    };
  },
};
