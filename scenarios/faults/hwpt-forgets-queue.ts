/** A page table does not count as a use of its fault queue. */
import type { Fault } from "./fault.ts";

export const hwptForgetsQueue: Fault = {
  id: "hwpt-forgets-queue",
  title: "a fault queue can be destroyed while a page table has it",
  cites: "seeded",
  breaks: "in-use-stays",
  shownBy: "mock-tables",
  apply(k) {
    const { setFault, letGo } = k.iommufdDevice;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      setFault(kernel, hwpt, id) {
        setFault(kernel, hwpt, id);
        if (hwpt.fault) hwpt.fault.users--;
      },
      letGo(hwpt) {
        if (hwpt.fault) hwpt.fault.users++;
        letGo(hwpt);
      },
    };
  },
};
