/** Linux 6.11 to 7.0: a response that can't be read counts as written, by what is left of it. */
import { rule } from "../../model/iommufd/fault-file.ts";
import { Refusal } from "../../model/kernel/clause.ts";
import type { Fault } from "./fault.ts";

const RESPONSE_SIZE = 8;

export const faultWriteTellsLeft: Fault = {
  id: "fault-write-tells-left",
  title: "writing responses that are not there to a fault queue brings a number of bytes in place of EFAULT",
  cites: "aaca2aa92785 iommufd: Fix return value of iommufd_fault_fops_write() (7.1)",
  breaks: "difference",
  shownBy: "mock-tables",
  apply(k) {
    const right = k.iommufdDevice.answerFaults;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      *answerFaults(kernel, queue, io) {
        try {
          return yield* right(kernel, queue, io);
        } catch (refusal) {
          if (refusal instanceof Refusal && refusal.clause === rule["IOMMUFD-FAULTQ-10"]) return RESPONSE_SIZE;
          throw refusal;
        }
      },
    };
  },
};
