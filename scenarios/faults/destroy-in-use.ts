/** An object can be destroyed while another uses it. */
import type { Fault } from "./fault.ts";

export const destroyInUse: Fault = {
  id: "destroy-in-use",
  title: "IOMMU_DESTROY does not look at an IOAS' users",
  cites: "seeded",
  breaks: "in-use-stays",
  shownBy: "emulated-devices",
  apply(k) {
    const right = k.iommufd.isUnused;
    k.iommufd = { ...k.iommufd, isUnused: (object) => object.kind === "ioas" || right(object) };
  },
};
