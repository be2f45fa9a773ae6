/** The padding of a capability is whatever was on the kernel's stack. */
import type { Fault } from "./fault.ts";

export const type1CapabilityLeak: Fault = {
  id: "type1-capability-leak",
  title: "the migration capability of VFIO_IOMMU_GET_INFO brings bytes that nobody set",
  cites: "cd24e2a60af6 vfio/type1: fix cap_migration information leak (6.6)",
  breaks: "difference",
  shownBy: "type1",
  apply(k) {
    const right = k.type1.capabilities;
    k.type1 = {
      ...k.type1,
      capabilities(kernel, iommu) {
        const chain = right(kernel, iommu);
        // Behind the header and flags of the first.
        chain.fill(0xa5, 12, 16);
        return chain;
      },
    };
  },
};
