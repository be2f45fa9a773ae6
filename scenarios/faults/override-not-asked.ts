/** Whoever binds by name is not asked whether the function is for another driver. */
import type { Fault } from "./fault.ts";

export const overrideNotAsked: Fault = {
  id: "override-not-asked",
  title: "a function goes to any driver that takes any, whatever its override says",
  cites: "seeded",
  breaks: "override-beats-ids",
  shownBy: "driver-ids",
  apply(k) {
    const { matches } = k.driverCore;
    k.driverCore = {
      ...k.driverCore,
      matches: (kernel, pciFunction, driver) =>
        (driver.takesAny && pciFunction.driverOverride !== null) || matches(kernel, pciFunction, driver),
    };
  },
};
