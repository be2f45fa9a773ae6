/** Linux 6.11 to 7.1: a read without room for the first faults brings nothing, as if there were none. */
import { rule } from "../../model/iommufd/fault-file.ts";
import type { Fault } from "./fault.ts";
import { whereRefused } from "./where-refused.ts";

export const faultReadWithoutRoom: Fault = {
  id: "fault-read-without-room",
  title: "a read that has no room for the faults that wait looks as if none did",
  cites: "47916a54eeb2 iommufd: Reject invalid read count in iommufd_fault_fops_read() (7.2)",
  breaks: "difference",
  shownBy: "mock-tables",
  apply(k) {
    k.iommufdDevice = {
      ...k.iommufdDevice,
      readFaults: whereRefused(rule["IOMMUFD-FAULTQ-5"], k.iommufdDevice.readFaults, () => 0),
    };
  },
};
