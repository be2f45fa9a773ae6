/** GET_INFO counts the regions of a device that an earlier caller has asked for. */
import { PCI_REGION } from "../../model/vfio/device-info.ts";
import type { Fault } from "./fault.ts";

export const igdRegionsCountedLate: Fault = {
  id: "igd-regions-counted-late",
  title: "the first to ask for a device's information is told of fewer regions than the next",
  cites: "seeded",
  breaks: "fixed-indexes",
  shownBy: "driver-igd",
  machine: "variants",
  apply(k) {
    const right = k.vfioPci.describe;
    const asked = new WeakSet<object>();
    k.vfioPci = {
      ...k.vfioPci,
      describe(kernel, pciFunction) {
        const whole = right(kernel, pciFunction);
        if (asked.has(pciFunction)) return whole;
        asked.add(pciFunction);
        return { ...whole, regions: PCI_REGION.COUNT };
      },
    };
  },
};
