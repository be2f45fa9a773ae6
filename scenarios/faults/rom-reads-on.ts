/** What lies behind the images of a ROM is read from the device. */
import { PCI_REGION } from "../../model/vfio/device-info.ts";
import type { Fault } from "./fault.ts";

export const romReadsOn: Fault = {
  id: "rom-reads-on",
  title: "a ROM is read to the end of its BAR, whatever its images say",
  cites: "seeded",
  breaks: "difference",
  shownBy: "function-regions",
  apply(k) {
    const right = k.vfioPci.hiddenRange;
    k.vfioPci = {
      ...k.vfioPci,
      hiddenRange: (spec, bar) => (bar === PCI_REGION.ROM ? { from: 0, to: 0 } : right(spec, bar)),
    };
  },
};
