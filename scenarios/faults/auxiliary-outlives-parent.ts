/** A driver that loses its function leaves the auxiliary devices that it has made of it. */
import type { Fault } from "./fault.ts";

export const auxiliaryOutlivesParent: Fault = {
  id: "auxiliary-outlives-parent",
  title: "unbinding the driver of the parent leaves its devices of the auxiliary bus",
  cites: "seeded",
  breaks: "auxiliary-within-parent",
  shownBy: "auxiliary",
  machine: "managed",
  apply(k) {
    k.driverCore = { ...k.driverCore, *deleteAuxiliaries() {} };
  },
};
