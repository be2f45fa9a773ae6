/** A PCI function: its registers' facts, its driver, and what a reset of it hits. Beside include/linux/pci.h. */
import type { PciDriver } from "../driver-core/pci-driver.ts";
import type { IommuDevice } from "../iommu/device.ts";
import type { IommuGroup } from "../iommu/group.ts";
import type { FunctionSpec, ReservedRegion } from "../topology.ts";
import type { VfioDevice } from "../vfio/device.ts";
import type { ConfigSpace } from "../vfio-pci/config-space.ts";
import type { DeviceRegion, VfioPciCoreDevice } from "../vfio-pci/core-device.ts";
import type { FunctionBufferFile } from "../vfio-pci/dmabuf.ts";
import { FunctionIrqs } from "../vfio-pci/function-irqs.ts";
import { FunctionPower } from "../vfio-pci/function-power.ts";
import type { Ioeventfd } from "../vfio-pci/ioeventfd.ts";
import type { VfToken } from "../vfio-pci/vf-token.ts";
import { type Hardware, hardwareOf } from "./hardware.ts";
import { romOf } from "./rom.ts";

export class PciFunction implements IommuDevice {
  readonly spec: FunctionSpec;
  readonly iommuDriver = "hardware";
  // No IOMMU of the suite's machines tells what was written, and none of their functions has PASIDs.
  readonly dirtyTracking = false;
  readonly pasidBits = 0;
  readonly aperture: ReservedRegion;
  /** null where no IOMMU is in front of it; vfio-pci then makes one up, as long as it has the function. */
  group: IommuGroup | null;
  driver: PciDriver | null;
  /** Whether its driver is letting it go: sysfs shows no driver any more. */
  leaving = false;
  /** Whether a rescan has found it, after it was removed. */
  readonly found: boolean;
  /** Whether it is being taken off the bus: that can't be asked for again. */
  removing = false;
  driverOverride: string | null;
  /** The VFIO device that its driver registered for it, and what the driver keeps of it. */
  vfio: VfioDevice | null = null;
  core: VfioPciCoreDevice | null = null;
  /** Regions that its driver has registered, behind those of every PCI device. */
  readonly regions: DeviceRegion[] = [];
  /** Its virtual functions that are there. */
  readonly vfs: PciFunction[] = [];
  /** Of a virtual function: the one that has it. */
  physical: PciFunction | null = null;
  /** Of a virtual function: whether the adapter has lost it, which only the emulated one does. */
  lost = false;
  /** The token of a function that can have virtual ones, as long as vfio-pci has it. */
  vfToken: VfToken | null = null;
  readonly power = new FunctionPower();
  /** What lies behind its BARs; null where nobody knows. */
  readonly hardware: Hardware | null;
  readonly irqs: FunctionIrqs;
  /** What its ROM holds; null where nobody knows. */
  readonly rom: Uint8Array | null;
  /** Writes that eventfds do, the latest first. */
  readonly ioeventfds: Ioeventfd[] = [];
  /** Buffers of its BARs, while it is open. */
  readonly buffers = new Set<FunctionBufferFile>();
  /** Its configuration space since a user looked into it; null while it is closed. */
  config: ConfigSpace | null = null;
  /** Registers that users wrote and nobody puts back, by offset; null where a reset may have changed them. */
  readonly strays: Map<number, number | null>;

  /** `was`: the same function before it was taken off the bus. Its hardware has noticed nothing of that, but for drivers. */
  constructor(
    spec: FunctionSpec,
    group: IommuGroup | null,
    driver: PciDriver | null,
    driverOverride: string | null,
    was: PciFunction | null = null,
  ) {
    this.spec = spec;
    this.found = was !== null;
    this.hardware = was?.hardware ?? hardwareOf(spec);
    if (this.found) this.hardware?.disturb();
    this.strays = was?.strays ?? new Map();
    this.rom = romOf(spec);
    this.irqs = new FunctionIrqs(this.hardware);
    this.aperture = { start: 0n, last: (1n << BigInt(spec.apertureBits)) - 1n };
    this.group = group;
    this.driver = driver;
    this.driverOverride = driverOverride;
  }

  /** Every IOMMU of the suite's machines keeps DMA coherent. */
  get cacheCoherent(): boolean {
    return this.spec.group >= 0;
  }

  get reservedRegions(): readonly ReservedRegion[] {
    return this.spec.reservedRegions;
  }

  get pageSizes(): bigint {
    return this.spec.pageSizes;
  }

  /** The group, where the caller knows that there is one. */
  requireGroup(): IommuGroup {
    if (!this.group) throw new Error(`${this.spec.name} has no IOMMU group`);
    return this.group;
  }
}
