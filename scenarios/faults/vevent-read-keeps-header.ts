/** Linux 6.15 to 7.1: an event whose data can't be written counts as read as far as its header, and is read again. */

import { rule } from "../../model/iommufd/vevent-queue.ts";
import { Refusal } from "../../model/kernel/clause.ts";
import type { Fault } from "./fault.ts";

const HEADER_SIZE = 8;

export const veventReadKeepsHeader: Fault = {
  id: "vevent-read-keeps-header",
  title: "a read of events whose data can't be written counts their header, though they stay in the queue",
  cites: "01e41ad76c12 iommufd: Rewind header length in done if iommufd_veventq_fops_read() fails (7.2)",
  breaks: "difference",
  shownBy: "mock-viommus",
  apply(k) {
    const right = k.iommufdDevice.readVevents;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      readVevents(kernel, queue, io) {
        try {
          return right(kernel, queue, io);
        } catch (refusal) {
          const faults = refusal instanceof Refusal && refusal.clause === rule["IOMMUFD-VEVENTQ-8"];
          if (faults && io.block.canWrite(HEADER_SIZE)) return HEADER_SIZE;
          throw refusal;
        }
      },
    };
  },
};
