/** Which group a device is registered with, and what becomes of the group when it leaves. Beside drivers/vfio/group.c. */
import type { IommuGroup } from "../iommu/group.ts";
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import type { Backing, VfioDevice } from "./device.ts";
import type { VfioGroup } from "./group.ts";

const source = (name: string) => `drivers/vfio/group.c:${name}`;

export const rule = clauses({
  "VFIO-GROUP-MAKE-1": {
    rule: "a device that no IOMMU group isolates becomes no VFIO device, unless no-IOMMU mode is on",
    errno: "EINVAL",
    source: source("vfio_group_find_or_alloc"),
    kconfig: ["VFIO_GROUP"],
    machine: "mock",
  },
  "VFIO-GROUP-MAKE-2": {
    rule: "without groups a device that no IOMMU isolates becomes no VFIO device in any mode",
    errno: "EINVAL",
    source: "drivers/vfio/vfio_main.c:__vfio_register_dev",
    since: "6.6",
    kconfig: ["!VFIO_GROUP"],
    machine: "mock",
  },
  "VFIO-GROUP-MAKE-3": {
    rule: "in no-IOMMU mode such a device gets a group of its own, named noiommu-, and the kernel is tainted",
    kconfig: ["VFIO_NOIOMMU"],
    machine: "noiommu",
    source: source("vfio_group_find_or_alloc"),
    observable: "sysfs",
  },
});

export const steps = {
  /** vfio_device_set_group: the group that a device is registered with. */
  setGroup(k: Kernel, backing: Backing): VfioGroup {
    if (!k.has("VFIO_GROUP")) {
      // The kernel asks the IOMMU itself whether it keeps DMA coherent, which none does not.
      if (backing.kind === "pci") must(backing.function.group !== null, rule["VFIO-GROUP-MAKE-2"]);
      return k.group.make(null, backing.kind === "pci" ? "iommu" : "emulated");
    }
    if (backing.kind === "mdev") return k.group.make(k.iommu.alloc(k), "emulated");
    return k.group.findOrAlloc(k, backing.function);
  },

  /** vfio_group_find_or_alloc */
  findOrAlloc(k: Kernel, pciFunction: PciFunction): VfioGroup {
    if (pciFunction.group) {
      return k.group.ofIommuGroup(k, pciFunction.group) ?? k.group.make(pciFunction.group, "iommu");
    }
    must(k.topology.noiommu && k.has("VFIO_NOIOMMU"), rule["VFIO-GROUP-MAKE-1"]);
    const iommuGroup = k.iommu.alloc(k);
    iommuGroup.members.push(pciFunction);
    pciFunction.group = iommuGroup;
    k.tainted = true;
    k.keeps(rule["VFIO-GROUP-MAKE-3"]);
    return k.group.make(iommuGroup, "noiommu");
  },

  /** vfio_group_find_from_iommu: the group that some registered device already made. */
  ofIommuGroup(k: Kernel, iommuGroup: IommuGroup): VfioGroup | undefined {
    for (const pciFunction of k.functions) {
      if (pciFunction.vfio && pciFunction.group === iommuGroup) return pciFunction.vfio.group;
    }
    return undefined;
  },

  /** vfio_device_remove_group: a group that was made up goes, and so does what the last device leaves. */
  *removeDevice(k: Kernel, { group, backing }: VfioDevice): Operation<void> {
    if (!k.has("VFIO_GROUP")) return;
    if (group.type === "noiommu" && backing.kind === "pci") backing.function.group = null;
    group.drivers--;
    if (group.drivers > 0) return;
    using _ = yield* k.lock(group.groupLock);
    if (group.container) yield* k.container.detachGroup(k, group);
    if (group.iommuGroup && group.type !== "iommu") k.iommu.free(k, group.iommuGroup);
    group.iommuGroup = null;
  },
};
