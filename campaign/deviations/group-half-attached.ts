/**
 * The functions of a group move to another domain one by one. Where memory runs out on the way, those that have moved stay
 * there. Behind a bridge that speaks for all, Intel's driver then takes them to be in no domain, and lists them once more:
 * the next walk of that list never ends. Before that, it may lead to a domain that was freed.
 */
import type { Strike } from "../../model/kernel/alloc.ts";
import { ContainerFile } from "../../model/vfio/container.ts";
import { GroupFile, type VfioGroup } from "../../model/vfio/group.ts";
import type { Deviation } from "./deviation.ts";
import { ruinedWhere } from "./ruined-where.ts";

const ID = "group-half-attached";

/** The groups whose functions a call moves. */
function moved({ call, file }: Strike): readonly VfioGroup[] {
  if (call.op !== "ioctl") return [];
  if (call.request === "VFIO_GROUP_SET_CONTAINER" && file instanceof GroupFile) return [file.group];
  if (call.request === "VFIO_SET_IOMMU" && file instanceof ContainerFile) return file.container.groups;
  return [];
}

function hasSeveral({ iommuGroup, type }: VfioGroup): boolean {
  return type === "iommu" && iommuGroup !== null && iommuGroup.members.length + iommuGroup.bridges.length > 1;
}

export const groupHalfAttached: Deviation = {
  id: ID,
  title:
    "a group of several devices that can't be moved to a domain for want of memory is left between two, and an attach after that may never end",
  clause: "ALLOC-1",
  since: "6.1",
  until: "6.4",
  source: "drivers/iommu/iommu.c:__iommu_group_set_domain",
  upstream: "6.5 undoes what was done: dcf40ed3a20d, iommu: Make __iommu_group_set_domain() handle error unwind",
  evidence: ID,
  destructive: true,
  apply(k) {
    ruinedWhere(k, ID, "where this kernel has left the devices of the group", (_, strike) =>
      moved(strike).some(hasSeveral),
    );
  },
};
