/** A function that looks for a driver and finds none is refused. */
import { rule } from "../../model/driver-core/bus.ts";
import { refuse } from "../../model/kernel/clause.ts";
import type { Fault } from "./fault.ts";

export const probeNeedsMatch: Fault = {
  id: "probe-needs-match",
  title: "drivers_probe fails where no driver matches",
  cites: "seeded",
  breaks: "difference",
  shownBy: "driver-ids",
  apply(k) {
    const { findMatch } = k.driverCore;
    k.driverCore = {
      ...k.driverCore,
      findMatch: (kernel, pciFunction) => findMatch(kernel, pciFunction) ?? refuse(rule["PCI-PROBE-2"]),
    };
  },
};
