/** Linux 6.11 to 7.1: a read whose buffer can't be written tries the same faults without end. */
import { rule } from "../../model/iommufd/fault-file.ts";
import { Refusal } from "../../model/kernel/clause.ts";
import { Blocked } from "../../model/kernel/operation.ts";
import type { Fault } from "./fault.ts";

export const faultReadTriesForEver: Fault = {
  id: "fault-read-tries-for-ever",
  title: "reading faults into a buffer that can't be written does not come back",
  cites: "172fc8b19825 iommufd: Break the loop on failure in iommufd_fault_fops_read() (7.2)",
  breaks: "hang",
  shownBy: "mock-tables",
  apply(k) {
    const right = k.iommufdDevice.readFaults;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      *readFaults(kernel, queue, io) {
        try {
          return yield* right(kernel, queue, io);
        } catch (refusal) {
          const isUnwritable = refusal instanceof Refusal && refusal.clause === rule["IOMMUFD-FAULTQ-6"];
          throw isUnwritable ? new Blocked("faults that nobody can be told of") : refusal;
        }
      },
    };
  },
};
