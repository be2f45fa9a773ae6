/** Linux 6.11 and 6.12: a move answers the faults of the page table that the device comes to, not of the one that it leaves. */
import type { Fault } from "./fault.ts";

export const faultQueueKeepsLeavers: Fault = {
  id: "fault-queue-keeps-leavers",
  title: "faults of a device that has moved away stay in the queue",
  cites: "ba5c0f28a26e iommufd: Fix wrong hwpt passed to iommufd_auto_response_faults on replace (7.2)",
  breaks: "faults-of-attached",
  shownBy: "mock-tables",
  apply(k) {
    k.iommufdDevice = { ...k.iommufdDevice, answerLeft: () => {} };
  },
};
