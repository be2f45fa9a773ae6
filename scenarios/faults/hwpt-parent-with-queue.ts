/** Linux 6.13 and 6.14: a page table that others are to be nested in may have a fault queue, which no IOMMU's driver can serve. */
import { HWPT_FLAGS } from "../../model/iommufd/hwpt-alloc.ts";
import type { Fault } from "./fault.ts";

export const hwptParentWithQueue: Fault = {
  id: "hwpt-parent-with-queue",
  title: "a page table is made with a fault queue although others are to be nested in it",
  cites: "1062d8108615 iommufd: Disallow allocating nested parent domain with fault ID (6.15)",
  breaks: "difference",
  shownBy: "mock-tables",
  apply(k) {
    const right = k.iommufdDevice.allocPaging;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      *allocPaging(kernel, device, ioas, flags, data) {
        const isParent = (flags & HWPT_FLAGS.NEST_PARENT) !== 0;
        return yield* right(kernel, device, ioas, isParent ? flags & ~HWPT_FLAGS.FAULT_ID_VALID : flags, data);
      },
    };
  },
};
