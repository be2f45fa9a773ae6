/** A driver counts a region more than it can tell of. */
import { PCI_REGION } from "../../model/vfio/device-info.ts";
import type { Fault } from "./fault.ts";

export const igdRegionUntold: Fault = {
  id: "igd-region-untold",
  title: "the last region that a driver has registered is refused",
  cites: "seeded",
  breaks: "regions-told",
  shownBy: "driver-igd",
  machine: "variants",
  apply(k) {
    const right = k.vfioPci.deviceRegion;
    k.vfioPci = {
      ...k.vfioPci,
      deviceRegion(kernel, pciFunction, index) {
        const last = index === PCI_REGION.COUNT + pciFunction.regions.length - 1;
        return right(kernel, pciFunction, last ? index + 1 : index);
      },
    };
  },
};
