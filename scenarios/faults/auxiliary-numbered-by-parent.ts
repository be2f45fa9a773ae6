/** The number in the name of an auxiliary device is that of the manager, not that of what it manages. */
import { pciDevId } from "../../model/driver-core/auxiliary.ts";
import type { Fault } from "./fault.ts";

export const auxiliaryNumberedByParent: Fault = {
  id: "auxiliary-numbered-by-parent",
  title: "an auxiliary device is called by its parent, so that nobody finds the function",
  cites: "seeded",
  breaks: "auxiliary-names",
  shownBy: "auxiliary",
  machine: "managed",
  apply(k) {
    const { addAuxiliary } = k.driverCore;
    k.driverCore = {
      ...k.driverCore,
      addAuxiliary: (kernel, match, _id, parent) => addAuxiliary(kernel, match, pciDevId(parent.spec), parent),
    };
  },
};
