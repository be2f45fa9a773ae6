/** Linux 6.11 and 6.12: a move answers the faults of the page table that the device comes to, not of the one that it leaves. */
import type { Fault } from "./fault.ts";

export const faultQueueKeepsLeavers: Fault = {
  id: "fault-queue-keeps-leavers",
  title: "faults of a device that has moved away stay in the queue",
  cites: "iommufd_hwpt_replace_device() of 6.12.95, which 7.2 has mended",
  breaks: "faults-of-attached",
  apply(k) {
    k.iommufdDevice = { ...k.iommufdDevice, answerLeft: () => {} };
  },
};
