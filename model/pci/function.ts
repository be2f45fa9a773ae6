/** A PCI function: its registers' facts, its driver, and what a reset of it hits. Beside include/linux/pci.h. */
import type { IommuGroup } from "../iommu/group.ts";
import type { FunctionSpec } from "../topology.ts";
import type { VfioDevice } from "../vfio/device.ts";

export class PciFunction {
  readonly spec: FunctionSpec;
  /** null where no IOMMU is in front of it; vfio-pci then makes one up, as long as it has the function. */
  group: IommuGroup | null;
  driver: string | null;
  driverOverride: string | null;
  /** The VFIO device that vfio-pci registered for it. */
  vfio: VfioDevice | null = null;

  constructor(spec: FunctionSpec, group: IommuGroup | null, driver: string | null, driverOverride: string | null) {
    this.spec = spec;
    this.group = group;
    this.driver = driver;
    this.driverOverride = driverOverride;
  }

  /** The group, where the caller knows that there is one. */
  requireGroup(): IommuGroup {
    if (!this.group) throw new Error(`${this.spec.name} has no IOMMU group`);
    return this.group;
  }
}
