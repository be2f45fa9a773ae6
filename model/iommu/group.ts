/** IOMMU groups and who owns their DMA. Beside drivers/iommu/iommu.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { ChoiceSite, Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { Operation } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import { steps as dma } from "./dma.ts";

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
  "IOMMU-DOMAIN-1": {
    rule: "a group that user space owns does no DMA until it is attached to something, nor once it is detached",
    source: "drivers/iommu/iommu.c:__iommu_group_set_core_domain",
    observable: "internal",
  },
  "IOMMU-DOMAIN-2": {
    rule: "with its last owner of user space a group goes back to the domain that drivers of the kernel use",
    source: "drivers/iommu/iommu.c:__iommu_release_dma_ownership",
    observable: "internal",
  },
});

const groupMutex = new LockClass("iommu_group->mutex");

/**
 * What a group's DMA goes through: the domain for drivers of the kernel, one that lets nothing pass, or what user space has
 * attached the group to, a page table of an iommufd or a container's backend.
 */
export type Domain = "default" | "blocking" | object;

export class IommuGroup {
  /** Its number; of one that came with the program, what this model takes it to be until the target shows it. */
  id: number;
  readonly members: PciFunction[] = [];
  /** Addresses of members that are no functions of ours, such as bridges. */
  readonly bridges: string[] = [];
  /** Whether it was there before the program: which of the free numbers another has got depends on what came before. */
  readonly standing: boolean;
  /** Whether a caller was told its number. */
  seen = false;
  /** Who owns the DMA: an object of VFIO or iommufd, or null for kernel drivers and nobody. */
  owner: object | null = null;
  ownerCount = 0;
  domain: Domain = "default";
  readonly mutex = new Lock(groupMutex);

  constructor(id: number, standing = true) {
    this.id = id;
    this.standing = standing;
  }
}

export const steps = {
  ...dma,

  /** iommu_group_alloc: it gets the lowest number that is free. */
  alloc(k: Kernel): IommuGroup {
    const used = new Set(k.iommuGroups.map((group) => group.id));
    let id = 0;
    while (used.has(id)) id++;
    const group = new IommuGroup(id, false);
    k.iommuGroups.push(group);
    return group;
  },

  /**
   * The number of a group where a caller is told of it. Which of the free numbers one has got that VFIO made up, or that came with a
   * function, depends on what came before the program.
   */
  number(k: Kernel, group: IommuGroup, site: ChoiceSite): number {
    if (!group.standing) {
      const free = (id: bigint) =>
        !k.iommuGroups.some((other) => other !== group && other.id === Number(id) && other.seen);
      group.id = Number(k.choose(site, BigInt(group.id), free));
      group.seen = true;
    }
    return group.id;
  },

  /** iommu_group_release */
  free(k: Kernel, group: IommuGroup): void {
    k.iommuGroups.splice(k.iommuGroups.indexOf(group), 1);
  },

  /** iommu_group_claim_dma_owner */
  *claimGroup(k: Kernel, group: IommuGroup, owner: object): Operation<void> {
    using _ = yield* k.lock(group.mutex);
    must(group.ownerCount === 0, rule["IOMMU-OWNER-1"]);
    k.iommu.takeOwnership(k, group, owner);
  },

  /** iommu_device_claim_dma_owner: devices of one group share an owner. */
  *claimDevice(k: Kernel, group: IommuGroup, owner: object): Operation<void> {
    using _ = yield* k.lock(group.mutex);
    must(group.ownerCount === 0 || group.owner === owner, rule["IOMMU-OWNER-2"]);
    if (group.ownerCount === 0) k.iommu.takeOwnership(k, group, owner);
    else group.ownerCount++;
  },

  /** __iommu_take_dma_ownership */
  takeOwnership(k: Kernel, group: IommuGroup, owner: object): void {
    group.owner = owner;
    group.ownerCount = 1;
    k.iommu.setCoreDomain(k, group);
  },

  /** iommu_group_release_dma_owner and iommu_device_release_dma_owner */
  *release(k: Kernel, group: IommuGroup): Operation<void> {
    using _ = yield* k.lock(group.mutex);
    group.ownerCount--;
    if (group.ownerCount > 0) return;
    group.owner = null;
    k.iommu.setCoreDomain(k, group);
  },

  /** __iommu_group_set_core_domain: what a group's DMA goes through while it is attached to nothing. */
  setCoreDomain(k: Kernel, group: IommuGroup): void {
    group.domain = group.owner ? "blocking" : "default";
    k.keeps(group.owner ? rule["IOMMU-DOMAIN-1"] : rule["IOMMU-DOMAIN-2"]);
  },

  /** __iommu_attach_group; the caller holds group->mutex where it matters. */
  attach(group: IommuGroup, domain: object): void {
    group.domain = domain;
  },

  /** iommu_device_use_default_domain: a native driver is about to bind. */
  *useDefaultDomain(k: Kernel, group: IommuGroup): Operation<void> {
    using _ = yield* k.lock(group.mutex);
    must(group.ownerCount === 0 || group.owner === null, rule["IOMMU-OWNER-3"]);
    group.ownerCount++;
  },

  /** iommu_device_unuse_default_domain: it is gone. */
  *unuseDefaultDomain(k: Kernel, group: IommuGroup): Operation<void> {
    using _ = yield* k.lock(group.mutex);
    group.ownerCount--;
  },

  /** iommu_group_dma_owner_claimed */
  *isClaimed(k: Kernel, group: IommuGroup): Operation<boolean> {
    using _ = yield* k.lock(group.mutex);
    return group.ownerCount > 0;
  },
};
