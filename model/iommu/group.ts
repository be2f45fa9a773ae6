/** IOMMU groups and who owns their DMA. Beside drivers/iommu/iommu.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { Operation } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";

export const rule = clauses({
  "IOMMU-OWNER-1": {
    rule: "a group's DMA can't be claimed for user space while anyone owns it, a kernel driver that does DMA or another user",
    errno: "EPERM",
    source: "drivers/iommu/iommu.c:iommu_group_claim_dma_owner",
  },
  "IOMMU-OWNER-2": {
    rule: "a device's DMA can't be claimed while its group belongs to another owner",
    errno: "EPERM",
    source: "drivers/iommu/iommu.c:iommu_device_claim_dma_owner",
    since: "6.2",
  },
  "IOMMU-OWNER-3": {
    rule: "a driver that does DMA for the kernel can't bind to a device whose group user space owns",
    errno: "EBUSY",
    source: "drivers/iommu/iommu.c:iommu_device_use_default_domain",
  },
});

const groupMutex = new LockClass("iommu_group->mutex");

export class IommuGroup {
  readonly id: number;
  readonly members: PciFunction[] = [];
  /** Addresses of members that are no functions of ours, such as bridges. */
  readonly bridges: string[] = [];
  /** Who owns the DMA: an object of VFIO or iommufd, or null for kernel drivers and nobody. */
  owner: object | null = null;
  ownerCount = 0;
  readonly mutex = new Lock(groupMutex);

  constructor(id: number) {
    this.id = id;
  }
}

export const steps = {
  /** iommu_group_claim_dma_owner */
  *claimGroup(k: Kernel, group: IommuGroup, owner: object): Operation<void> {
    using _ = yield* k.lock(group.mutex);
    must(group.ownerCount === 0, rule["IOMMU-OWNER-1"]);
    group.owner = owner;
    group.ownerCount = 1;
  },

  /** iommu_device_claim_dma_owner: devices of one group share an owner. */
  *claimDevice(k: Kernel, group: IommuGroup, owner: object): Operation<void> {
    using _ = yield* k.lock(group.mutex);
    must(group.ownerCount === 0 || group.owner === owner, rule["IOMMU-OWNER-2"]);
    group.owner = owner;
    group.ownerCount++;
  },

  /** iommu_group_release_dma_owner and iommu_device_release_dma_owner */
  *release(k: Kernel, group: IommuGroup): Operation<void> {
    using _ = yield* k.lock(group.mutex);
    group.ownerCount--;
    if (group.ownerCount === 0) group.owner = null;
  },

  /** iommu_device_use_default_domain: a native driver is about to bind. */
  *useDefaultDomain(k: Kernel, group: IommuGroup): Operation<void> {
    using _ = yield* k.lock(group.mutex);
    must(group.ownerCount === 0 || group.owner === null, rule["IOMMU-OWNER-3"]);
    group.ownerCount++;
  },

  /** iommu_group_dma_owner_claimed */
  *isClaimed(k: Kernel, group: IommuGroup): Operation<boolean> {
    using _ = yield* k.lock(group.mutex);
    return group.ownerCount > 0;
  },
};
