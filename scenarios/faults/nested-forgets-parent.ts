/** A nested page table does not count as a use of its parent. */
import type { Fault } from "./fault.ts";

export const nestedForgetsParent: Fault = {
  id: "nested-forgets-parent",
  title: "the parent of a nested page table can be destroyed",
  cites: "seeded",
  breaks: "in-use-stays",
  shownBy: "mock-tables",
  apply(k) {
    const { allocNested, letGo } = k.iommufdDevice;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      allocNested(kernel, device, parent, flags, data) {
        const nested = allocNested(kernel, device, parent, flags, data);
        parent.users--;
        return nested;
      },
      letGo(hwpt) {
        if (hwpt.kind === "nested") hwpt.parent.users++;
        letGo(hwpt);
      },
    };
  },
};
