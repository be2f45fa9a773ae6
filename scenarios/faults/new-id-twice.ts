/** Whoever adds an id is only told what of it stands in the driver's table. */
import type { Fault } from "./fault.ts";

export const newIdTwice: Fault = {
  id: "new-id-twice",
  title: "an id that was added to a driver can be added again, and has to be removed as often",
  cites: "3853f9123c18 PCI: Avoid duplicate IDs in driver dynamic IDs list (5.11)",
  breaks: "difference",
  shownBy: "driver-ids",
  apply(k) {
    k.driverCore = { ...k.driverCore, knowsId: (kernel, driver, id) => kernel.driverCore.inTable(kernel, driver, id) };
  },
};
