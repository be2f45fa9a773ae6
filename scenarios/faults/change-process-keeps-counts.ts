/** Seeded: a mapping is another process's from now on, and its pages still count for the old one. */
import type { Fault } from "./fault.ts";

export const changeProcessKeepsCounts: Fault = {
  id: "change-process-keeps-counts",
  title: "pages that another process takes over count for the old one",
  cites: "seeded",
  breaks: "pins-counted",
  shownBy: "iommufd-mock",
  apply(k) {
    k.iommufd = { ...k.iommufd, moveCounts() {} };
  },
};
