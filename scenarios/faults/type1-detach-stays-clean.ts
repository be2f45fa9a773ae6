/** What a device wrote before its group left is not reported as dirty. */
import type { Fault } from "./fault.ts";

export const type1DetachStaysClean: Fault = {
  id: "type1-detach-stays-clean",
  title: "a group behind an IOMMU that leaves does not make everything dirty",
  cites: "d0a78f91761f vfio/iommu_type1: Populate full dirty when detach non-pinned group (5.12)",
  breaks: "difference",
  shownBy: "type1",
  apply(k) {
    k.type1 = { ...k.type1, markAllDirty() {} };
  },
};
