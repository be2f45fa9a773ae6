/** Linux 6.2 to 6.10: a mapping need neither be readable nor writable. */
import type { Fault } from "./fault.ts";

export const mapWithoutAccess: Fault = {
  id: "map-without-access",
  title: "IOMMU_IOAS_MAP and IOMMU_IOAS_COPY make mappings that can neither be read nor written",
  cites: "996dc53ac289 iommufd: Do not allow creating areas without READ or WRITE (6.11)",
  breaks: "difference",
  shownBy: "emulated-devices",
  apply(k) {
    k.ioas = { ...k.ioas, checkAccess() {} };
  },
};
