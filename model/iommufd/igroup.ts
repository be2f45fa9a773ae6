/** What a context knows of an IOMMU group, and what the group's PASIDs are attached to. Beside drivers/iommu/iommufd/iommufd_private.h. */
import type { IommuGroup } from "../iommu/group.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { AnyHwpt, IommufdDevice } from "./objects.ts";

const igroupLock = new LockClass("igroup->lock");

/** IOMMU_NO_PASID: stands for the devices themselves, without a PASID. */
export const NO_PASID = 0;

/** struct iommufd_attach: what a PASID of a group is attached to, and the devices that were attached to it one by one. */
export interface Attachment {
  hwpt: AnyHwpt;
  readonly devices: IommufdDevice[];
}

const NOBODY: readonly IommufdDevice[] = [];

/** struct iommufd_group: there while devices of the group are bound. */
export class IommufdGroup {
  readonly group: IommuGroup;
  bound = 0;
  /** pasid_attach, by PASID: the group itself is attached under NO_PASID. */
  readonly attachments = new Map<number, Attachment>();
  readonly lock = new Lock(igroupLock);

  constructor(group: IommuGroup) {
    this.group = group;
  }

  /** What the group itself is attached to. */
  get hwpt(): AnyHwpt | null {
    return this.attachments.get(NO_PASID)?.hwpt ?? null;
  }

  /** The devices that are attached themselves. */
  get attached(): readonly IommufdDevice[] {
    return this.attachments.get(NO_PASID)?.devices ?? NOBODY;
  }

  /** Whether a PASID is attached, besides the group itself. */
  get hasPasids(): boolean {
    return this.attachments.size > (this.attachments.has(NO_PASID) ? 1 : 0);
  }

  /** A number that tells what is attached to what from other ways. */
  trace(): number {
    let trace = 0;
    for (const [pasid, { hwpt, devices }] of this.attachments) trace += (hwpt.id * 31 + devices.length) * (pasid + 1);
    return trace;
  }
}
