/** Accesses pin from the middle of a page. */
import type { Fault } from "./fault.ts";

export const accessPinsMisaligned: Fault = {
  id: "access-pins-misaligned",
  title: "an access pins a range that begins in the middle of a page",
  cites: "seeded",
  breaks: "difference",
  shownBy: "iommufd-access",
  apply(k) {
    k.iommufdDevice = { ...k.iommufdDevice, isWhole: () => true };
  },
};
