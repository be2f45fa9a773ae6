/** Accesses are not told of what is unmapped. */
import type { Fault } from "./fault.ts";

export const accessNotTold: Fault = {
  id: "access-not-told",
  title: "an access is not told that a mapping goes, and keeps it pinned",
  cites: "seeded",
  breaks: "difference",
  shownBy: "iommufd-access",
  apply(k) {
    k.iommufdDevice = { ...k.iommufdDevice, *notifyUnmap() {} };
  },
};
