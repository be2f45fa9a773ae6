/** IOMMU_HWPT_ALLOC and its relatives against the words of iommufd.h. */

import { rule } from "../../model/iommufd/hwpt-alloc.ts";
import { must } from "../../model/kernel/clause.ts";
import type { Deviation } from "./deviation.ts";

export const hwptAllocPtEinval: Deviation = {
  id: "hwpt-alloc-pt-einval",
  title:
    "IOMMU_HWPT_ALLOC with a pt_id that is no object's is refused with EINVAL; the header has ENOENT for ids that do not exist",
  clause: "IOMMUFD-HWPT-4",
  since: "6.6",
  source: "drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_alloc",
  upstream: "searched, none found",
  evidence: "hwpt-alloc-pt-einval",
  apply(k, fired) {
    const right = k.iommufdDevice.hwptBase;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      hwptBase(context, id) {
        if (context.get(id) === undefined) fired();
        must(context.get(id) !== undefined, rule["IOMMUFD-HWPT-5"]);
        return right(context, id);
      },
    };
  },
};

export const hwptReservedUnchecked: Deviation = {
  id: "hwpt-reserved-unchecked",
  title:
    "reserved fields of IOMMU_HWPT_ALLOC (the last) and IOMMU_HWPT_SET_DIRTY_TRACKING that must be zero are not looked at",
  clause: "IOMMUFD-HWPT-1",
  since: "6.6",
  source: "drivers/iommu/iommufd/hw_pagetable.c:iommufd_hwpt_alloc",
  upstream: "searched, none found",
  evidence: "hwpt-reserved-unchecked",
  apply(k, fired) {
    const right = k.iommufdDevice;
    k.iommufdDevice = {
      ...k.iommufdDevice,
      isPadded(command) {
        if (!right.isPadded(command)) fired();
        return true;
      },
      isReserved(block) {
        if (!right.isReserved(block)) fired();
        return true;
      },
    };
  },
};
