/** What an event of a virtual IOMMU says of itself is left as memory was: it can look like the header that tells of lost ones. */
import type { Fault } from "./fault.ts";

export const veventLooksLost: Fault = {
  id: "vevent-looks-lost",
  title: "the second event that waits in a queue is read as the header that tells of lost ones",
  cites: "c898ebe17636 iommufd: Initialize the flags of vevent in iommufd_viommu_report_event() (6.15)",
  breaks: "difference",
  shownBy: "mock-viommus",
  apply(k) {
    const right = k.iommufdDevice.deliverVevent;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      deliverVevent(kernel, queue, data) {
        if (queue.count === 1) queue.add(null);
        else right(kernel, queue, data);
      },
    };
  },
};
