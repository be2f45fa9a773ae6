/** What an id leaves out is zero, and matches hardly anything. */
import { PCI_ANY_ID } from "../../model/driver-core/pci-id.ts";
import type { Fault } from "./fault.ts";

export const subsystemDefaultsToZero: Fault = {
  id: "subsystem-defaults-to-zero",
  title: "an id without subsystem matches only functions without one",
  cites: "seeded",
  breaks: "difference",
  shownBy: "driver-ids",
  apply(k) {
    const { addId } = k.driverCore;
    k.driverCore = {
      ...k.driverCore,
      addId(kernel, driver, id) {
        const subvendor = id.subvendor === PCI_ANY_ID ? 0 : id.subvendor;
        addId(kernel, driver, { ...id, subvendor });
      },
    };
  },
};
