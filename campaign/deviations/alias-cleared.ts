/**
 * Functions behind a bridge to conventional PCI reach the IOMMU under one name, the bridge's. When one of them is removed, Intel's
 * driver clears the entry of that name, and takes the others for detached from then on: what they are attached to keeps them in its
 * list when they move on, and is freed with them in it, or lists them twice, and the next walk of that list never ends. A function
 * that is found again has the entry made anew.
 */
import type { IommuGroup } from "../../model/iommu/group.ts";
import { bridgeAbove } from "../../model/topology.ts";
import { type Deviation, Ruined } from "./deviation.ts";

const ID = "alias-cleared";

export const aliasCleared: Deviation = {
  id: ID,
  title:
    "the removal of a function behind a bridge to conventional PCI cuts its neighbours off the IOMMU; the kernel warns, or never comes back, when their group moves to another domain",
  clause: "PCI-REMOVE-3",
  since: "6.1",
  until: "6.11",
  source: "drivers/iommu/intel/iommu.c:intel_iommu_attach_device",
  upstream: "6.12 has no more of domain_context_mapped; by which commit was not looked up",
  evidence: ID,
  destructive: true,
  apply(k) {
    const cleared = new WeakSet<IommuGroup>();
    const { hotplug, iommu } = k;
    const mayMove = (group: IommuGroup): void => {
      if (cleared.has(group)) throw new Ruined("what this kernel does with a list that it has broken", ID);
    };
    k.hotplug = {
      ...hotplug,
      // From the beginning on: of a removal that waits for the last close nobody can say whether it or the group moves first.
      *stopDevice(kernel, pciFunction) {
        const { group, spec } = pciFunction;
        const shares = group !== null && bridgeAbove(kernel.topology, spec.name)?.group === spec.group;
        if (shares && group.members.length > 1) cleared.add(group);
        yield* hotplug.stopDevice(kernel, pciFunction);
      },
      joinGroup(kernel, pciFunction) {
        hotplug.joinGroup(kernel, pciFunction);
        if (pciFunction.group) cleared.delete(pciFunction.group);
      },
    };
    k.iommu = {
      ...iommu,
      setCoreDomain(kernel, group) {
        mayMove(group);
        iommu.setCoreDomain(kernel, group);
      },
      attach(group, domain) {
        mayMove(group);
        iommu.attach(group, domain);
      },
    };
  },
};
