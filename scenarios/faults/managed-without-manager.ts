/** A function is taken for VFIO without a look whether its manager stands behind it. */
import type { Fault } from "./fault.ts";

export const managedWithoutManager: Fault = {
  id: "managed-without-manager",
  title: "a function becomes a VFIO device of a manager that is not there",
  cites: "seeded",
  breaks: "managed-by-two",
  shownBy: "auxiliary",
  machine: "managed",
  apply(k) {
    k.driverCore = { ...k.driverCore, isManaged: () => true };
  },
};
