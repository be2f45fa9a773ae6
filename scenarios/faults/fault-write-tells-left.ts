/** Linux 6.11 to 7.0: a response that can't be read counts as written, by what is left of it. */
import { rule } from "../../model/iommufd/fault-file.ts";
import type { Fault } from "./fault.ts";
import { whereRefused } from "./where-refused.ts";

const RESPONSE_SIZE = 8;

export const faultWriteTellsLeft: Fault = {
  id: "fault-write-tells-left",
  title: "writing responses that are not there to a fault queue brings a number of bytes in place of EFAULT",
  cites: "aaca2aa92785 iommufd: Fix return value of iommufd_fault_fops_write() (7.1)",
  breaks: "difference",
  shownBy: "mock-tables",
  apply(k) {
    k.iommufdDevice = {
      ...k.iommufdDevice,
      answerFaults: whereRefused(rule["IOMMUFD-FAULTQ-10"], k.iommufdDevice.answerFaults, () => RESPONSE_SIZE),
    };
  },
};
