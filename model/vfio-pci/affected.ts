/**
 * What a hot reset of a function hits, and what of it an iommufd owns. Beside drivers/vfio/pci/vfio_pci_core.c and
 * drivers/vfio/iommufd.c.
 */
import type { IommuGroup } from "../iommu/group.ts";
import type { IommufdContext } from "../iommufd/objects.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { parseAddress } from "../pci/address.ts";
import type { PciFunction } from "../pci/function.ts";
import type { DeviceFile, VfioDevice } from "../vfio/device.ts";
import { functionOf } from "./pci-device.ts";

/** Something that a hot reset hits: a function, or a bridge below the bus. */
export interface Affected {
  readonly segment: number;
  readonly bus: number;
  readonly devfn: number;
  /** Its IOMMU group, or null. */
  readonly group: IommuGroup | null;
  /** null for a bridge. */
  readonly function: PciFunction | null;
}

/** What devid says of a VFIO device that is owned without an id of its own: VFIO_PCI_DEVID_OWNED. */
export const DEVID_OWNED = 0;

/** Whether a hot reset, or a question about one, makes sense. */
export function canHotReset(_k: Kernel, { accessGranted, device: { backing } }: DeviceFile): boolean {
  return accessGranted && backing.kind === "pci" && backing.function.spec.resetScope !== null;
}

export const steps = {
  /** pci_probe_reset_slot and pci_probe_reset_bus: what a hot reset would reset, or null where there is none. */
  scope(pciFunction: PciFunction): string | null {
    return pciFunction.spec.resetScope;
  },

  /** vfio_pci_for_each_slot_or_bus: all that is on a bus or in a slot, and below it, in the order of pci_walk_bus. */
  affected(k: Kernel, scope: string): Affected[] {
    const here: (Affected & { readonly behind: string | null })[] = [];
    for (const pciFunction of k.functions) {
      const { spec, group } = pciFunction;
      if (spec.resetScope !== scope) continue;
      const { segment, bus, devfn } = spec;
      here.push({ segment, bus, devfn, group, function: pciFunction, behind: null });
    }
    for (const bridge of k.topology.bridges) {
      if (bridge.resetScope !== scope) continue;
      here.push({
        ...parseAddress(bridge.address),
        group: k.iommuGroups.find(({ bridges }) => bridges.includes(bridge.address)) ?? null,
        function: null,
        behind: bridge.scopeBehind,
      });
    }
    // What was found again comes behind what was there before.
    const found = (each: Affected): boolean => each.function?.found ?? false;
    here.sort((one, other) =>
      found(one) || found(other) ? Number(found(one)) - Number(found(other)) : one.devfn - other.devfn,
    );
    return here.flatMap((each) => (each.behind === null ? [each] : [each, ...k.hotReset.affected(k, each.behind)]));
  },

  /** vfio_iommufd_get_dev_id: the device's id, 0 for one that is owned with its group, null for one that is not owned. */
  ownedId(device: VfioDevice, context: IommufdContext): number | null {
    if (device.iommufdDevice?.context === context) return device.iommufdDevice.id;
    const bound = context.groups.get(functionOf(device).requireGroup())?.bound ?? 0;
    return bound > 0 ? DEVID_OWNED : null;
  },
};
