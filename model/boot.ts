/** A kernel that comes up on a machine, before anybody calls it. */
import { IommuGroup } from "./iommu/group.ts";
import type { Kernel } from "./kernel/kernel.ts";
import { runStraight } from "./kernel/operation.ts";
import { PciFunction } from "./pci/function.ts";
import { driverNameFor } from "./vfio-pci/drivers/all.ts";

/**
 * Brings the kernel up: every function bound by override to vfio-pci, or to a driver made for it, if that takes it, the
 * standing mediated devices made.
 */
export function boot(k: Kernel): void {
  const groups = new Map<number, IommuGroup>();
  const groupOf = (id: number): IommuGroup => {
    let group = groups.get(id);
    if (!group) {
      group = new IommuGroup(id);
      groups.set(id, group);
      k.iommuGroups.push(group);
    }
    return group;
  };
  for (const spec of k.topology.functions) {
    if (spec.physicalFunction !== null) continue;
    const group = spec.group < 0 ? null : groupOf(spec.group);
    const pciFunction = new PciFunction(spec, group, null, driverNameFor(spec.traits));
    group?.members.push(pciFunction);
    k.functions.push(pciFunction);
    k.driverCore.attachVfio(k, pciFunction);
  }
  for (const { address, group } of k.topology.bridges) if (group >= 0) groupOf(group).bridges.push(address);
  k.accelerator = k.idxd.boot(k);
  k.mdev.registerParents(k);
  for (const { uuid, standing } of k.topology.mdevs) {
    if (standing) runStraight(k.mdev.create(k, standing.parent, standing.type, uuid));
  }
  k.up = true;
}
