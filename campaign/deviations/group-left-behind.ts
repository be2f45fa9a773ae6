/**
 * The functions of a group move to another domain one by one. Where memory runs out on the way, those that have moved stay
 * there. Behind a bridge that speaks for all, Intel's driver then takes them to be in no domain, and lists them once more:
 * the next walk of that list never ends. A group that is let go stays in the container's domain, which is freed.
 */
import type { Strike } from "../../model/kernel/alloc.ts";
import { ContainerFile } from "../../model/vfio/container.ts";
import { DeviceFile } from "../../model/vfio/device.ts";
import { GroupFile, type VfioGroup } from "../../model/vfio/group.ts";
import type { Deviation } from "./deviation.ts";
import { ruinedWhere } from "./ruined-where.ts";

const ID = "group-left-behind";

function hasSeveral({ iommuGroup }: VfioGroup): boolean {
  return iommuGroup !== null && iommuGroup.members.length + iommuGroup.bridges.length > 1;
}

/** The groups that a call moves, and that do not come back where they were. */
function moved({ call, file }: Strike): readonly VfioGroup[] {
  if (call.op === "ioctl" && call.request === "VFIO_SET_IOMMU" && file instanceof ContainerFile) {
    return file.container.groups.filter(hasSeveral);
  }
  const group = file instanceof GroupFile ? file.group : file instanceof DeviceFile ? file.device.group : null;
  if (!group) return [];
  if (call.op === "ioctl" && call.request === "VFIO_GROUP_SET_CONTAINER") return [group].filter(hasSeveral);
  const letsGo = call.op === "close" || (call.op === "ioctl" && call.request === "VFIO_GROUP_UNSET_CONTAINER");
  return letsGo && group.container ? [group] : [];
}

export const groupLeftBehind: Deviation = {
  id: ID,
  title:
    "a group that can't be moved to another domain for want of memory is left between two, or in one that is freed; an attach after that may never end",
  clause: "ALLOC-1",
  since: "6.1",
  until: "6.4",
  source: "drivers/iommu/iommu.c:__iommu_group_set_domain",
  upstream: "6.5 undoes what was done: dcf40ed3a20d, iommu: Make __iommu_group_set_domain() handle error unwind",
  evidence: ID,
  destructive: true,
  apply(k) {
    ruinedWhere(k, ID, "where this kernel has left the devices of the group", (_, strike) =>
      moved(strike).some(({ type }) => type === "iommu"),
    );
  },
};
