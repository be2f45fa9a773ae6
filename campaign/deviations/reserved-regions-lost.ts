/**
 * Drivers of IOMMUs list the ranges that a device can't have mapped in memory that they allocate, and say nothing where
 * there is none: the ranges are not reserved, those of interrupts among them. iommufd's code has it as a FIXME.
 */
import type { Deviation } from "./deviation.ts";
import { ruinedWhere } from "./ruined-where.ts";

const ID = "reserved-regions-lost";
/** Commands that ask for the ranges. */
const ASKING: ReadonlySet<string> = new Set([
  "VFIO_SET_IOMMU",
  "VFIO_GROUP_SET_CONTAINER",
  "VFIO_GROUP_GET_DEVICE_FD",
  "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
]);

export const reservedRegionsLost: Deviation = {
  id: ID,
  title: "ranges that a device reserves are not reserved where the list of them can't be allocated",
  clause: "ALLOC-1",
  since: "6.1",
  source: "drivers/iommu/intel/iommu.c:intel_iommu_get_resv_regions",
  upstream: "a FIXME in drivers/iommu/iommufd/io_pagetable.c:iopt_table_enforce_dev_resv_regions",
  evidence: ID,
  destructive: true,
  perhaps: true,
  apply(k) {
    ruinedWhere(k, ID, "which ranges this kernel has reserved", ({ topology }, { call, seen }) => {
      if (!topology.iommu || call.op !== "ioctl" || !ASKING.has(call.request)) return false;
      // Which allocation it was can't be told; a call that was refused did not come to it.
      return seen !== undefined && !seen.refusedBy;
    });
  },
};
