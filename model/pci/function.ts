/** A PCI function: its registers' facts, its driver, and what a reset of it hits. Beside include/linux/pci.h. */
import type { IommuGroup } from "../iommu/group.ts";
import type { FunctionSpec } from "../topology.ts";
import type { VfioDevice } from "../vfio/device.ts";

export class PciFunction {
  readonly spec: FunctionSpec;
  readonly group: IommuGroup;
  driver: string | null;
  driverOverride: string | null;
  /** The VFIO device that vfio-pci registered for it. */
  vfio: VfioDevice | null = null;

  constructor(spec: FunctionSpec, group: IommuGroup, driver: string | null, driverOverride: string | null) {
    this.spec = spec;
    this.group = group;
    this.driver = driver;
    this.driverOverride = driverOverride;
  }
}
