/** Linux 6.15 to 7.1: an event whose data can't be written counts as read as far as its header, and is read again. */

import { rule } from "../../model/iommufd/vevent-queue.ts";
import { refuse } from "../../model/kernel/clause.ts";
import type { Fault } from "./fault.ts";
import { whereRefused } from "./where-refused.ts";

const HEADER_SIZE = 8;

export const veventReadKeepsHeader: Fault = {
  id: "vevent-read-keeps-header",
  title: "a read of events whose data can't be written counts their header, though they stay in the queue",
  cites: "01e41ad76c12 iommufd: Rewind header length in done if iommufd_veventq_fops_read() fails (7.2)",
  breaks: "difference",
  shownBy: "mock-viommus",
  apply(k) {
    const unread = rule["IOMMUFD-VEVENTQ-8"];
    k.iommufdDevice = {
      ...k.iommufdDevice,
      readVevents: whereRefused(unread, k.iommufdDevice.readVevents, (_kernel, _queue, { block }) =>
        block.canWrite(HEADER_SIZE) ? HEADER_SIZE : refuse(unread),
      ),
    };
  },
};
