/** Linux 6.11 to 7.1: a read without room for the first faults brings nothing, as if there were none. */
import { rule } from "../../model/iommufd/fault-file.ts";
import { Refusal } from "../../model/kernel/clause.ts";
import type { Fault } from "./fault.ts";

export const faultReadWithoutRoom: Fault = {
  id: "fault-read-without-room",
  title: "a read that has no room for the faults that wait looks as if none did",
  cites: "47916a54eeb2 iommufd: Reject invalid read count in iommufd_fault_fops_read() (7.2)",
  breaks: "difference",
  shownBy: "mock-tables",
  apply(k) {
    const right = k.iommufdDevice.readFaults;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      *readFaults(kernel, queue, io) {
        try {
          return yield* right(kernel, queue, io);
        } catch (refusal) {
          if (refusal instanceof Refusal && refusal.clause === rule["IOMMUFD-FAULTQ-5"]) return 0;
          throw refusal;
        }
      },
    };
  },
};
