/** Linux 6.11 to 7.1: a read whose buffer can't be written tries the same faults without end. */
import { rule } from "../../model/iommufd/fault-file.ts";
import { Blocked } from "../../model/kernel/operation.ts";
import type { Fault } from "./fault.ts";
import { whereRefused } from "./where-refused.ts";

export const faultReadTriesForEver: Fault = {
  id: "fault-read-tries-for-ever",
  title: "reading faults into a buffer that can't be written does not come back",
  cites: "172fc8b19825 iommufd: Break the loop on failure in iommufd_fault_fops_read() (7.2)",
  breaks: "hang",
  shownBy: "mock-tables",
  apply(k) {
    k.iommufdDevice = {
      ...k.iommufdDevice,
      readFaults: whereRefused(rule["IOMMUFD-FAULTQ-6"], k.iommufdDevice.readFaults, () => {
        throw new Blocked("faults that nobody can be told of");
      }),
    };
  },
};
