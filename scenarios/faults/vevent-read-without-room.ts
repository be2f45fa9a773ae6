/** Linux 6.15 to 7.1: a read without room for the first event brings nothing, as if there were none. */

import { rule } from "../../model/iommufd/vevent-queue.ts";
import type { Fault } from "./fault.ts";
import { whereRefused } from "./where-refused.ts";

export const veventReadWithoutRoom: Fault = {
  id: "vevent-read-without-room",
  title: "a read that has no room for an event looks as if there were none",
  cites: "00203ca8323f iommufd: Reject invalid read count in iommufd_veventq_fops_read() (7.2)",
  breaks: "difference",
  shownBy: "mock-viommus",
  apply(k) {
    k.iommufdDevice = {
      ...k.iommufdDevice,
      readVevents: whereRefused(rule["IOMMUFD-VEVENTQ-7"], k.iommufdDevice.readVevents, () => 0),
    };
  },
};
