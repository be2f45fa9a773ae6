/** Invariants over who owns the DMA of IOMMU groups, and what it goes through. */
import type { Domain, IommuGroup } from "../../model/iommu/group.ts";
import { IommufdContext } from "../../model/iommufd/objects.ts";
import { VfioGroup } from "../../model/vfio/group.ts";
import type { StateInvariant } from "./invariant.ts";

/** Functions of a group that drivers of the kernel use for themselves. */
function nativeMembers({ members }: IommuGroup): number {
  let count = 0;
  for (const { driver } of members) if (driver && !driver.driverManagedDma) count++;
  return count;
}

/** How often a group's owner has claimed it: once by its container, once by each device that an iommufd has bound. */
function claims(group: IommuGroup): number {
  const { owner } = group;
  if (owner instanceof VfioGroup) return owner.container ? 1 : 0;
  if (owner instanceof IommufdContext) return owner.groups.get(group)?.bound ?? 0;
  return 0;
}

export const dmaOneOwner: StateInvariant = {
  kind: "state",
  id: "dma-one-owner",
  title: "the DMA of a group is that of drivers of the kernel or of one user, and is claimed as often as it is counted",
  broken({ machine: { k } }) {
    for (const group of k.iommuGroups) {
      const native = nativeMembers(group);
      if (group.owner && native > 0) return `drivers of the kernel and user space own IOMMU group ${group.id}`;
      const used = claims(group) + native;
      if (used !== group.ownerCount)
        return `IOMMU group ${group.id} counts ${group.ownerCount} owners, and has ${used}`;
    }
    return undefined;
  },
};

/** What a group's DMA is to go through. */
function rightDomain(group: IommuGroup): Domain {
  const { owner } = group;
  if (owner instanceof VfioGroup) return owner.container?.iommu ?? "blocking";
  if (owner instanceof IommufdContext) return owner.groups.get(group)?.hwpt ?? "blocking";
  return "default";
}

export const dmaDomain: StateInvariant = {
  kind: "state",
  id: "dma-domain",
  title:
    "the DMA of a group that user space owns goes through what it is attached to, or nowhere; else it is the kernel's",
  broken({ machine: { k } }) {
    for (const group of k.iommuGroups) {
      const { domain } = group;
      if (domain === rightDomain(group)) continue;
      const where = typeof domain === "string" ? `the ${domain} domain` : "something that it is not attached to";
      return `the DMA of IOMMU group ${group.id} goes through ${where}`;
    }
    return undefined;
  },
};
