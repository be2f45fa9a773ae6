/** A bridge in a group counts as a device that user space must have, though no user ever gets bridges. */

import { rule } from "../../model/iommu/group.ts";
import { refuse } from "../../model/kernel/clause.ts";
import type { Fault } from "./fault.ts";

export const bridgesSpoilGroup: Fault = {
  id: "bridges-spoil-group",
  title: "a group with a bridge in it is not viable",
  cites: "5f096b14d421 vfio: Whitelist PCI bridges",
  breaks: "difference",
  shownBy: "emulated-devices",
  apply(k) {
    const { claimGroup, isClaimed } = k.iommu;
    k.iommu = {
      ...k.iommu,
      *claimGroup(kernel, group, owner) {
        if (group.bridges.length > 0) refuse(rule["IOMMU-OWNER-1"]);
        yield* claimGroup(kernel, group, owner);
      },
      *isClaimed(kernel, group) {
        return group.bridges.length > 0 || (yield* isClaimed(kernel, group));
      },
    };
  },
};
