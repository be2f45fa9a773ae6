/** Reading and writing the regions of a function. Beside vfio_pci_rw of drivers/vfio/pci/vfio_pci_core.c and vfio_pci_rdwr.c. */
import { type Clause, clauses, must, refuse } from "../kernel/clause.ts";
import type { Transfer } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import { PCI_REGION, REGION_SIZE } from "../vfio/device-info.ts";
import { steps as config } from "./config.ts";
import type { DeviceRegion } from "./core-device.ts";

export const rule = clauses({
  "VFIO-PCI-RW-1": {
    rule: "nothing is read or written when no bytes are asked for, wherever that is",
    source: "drivers/vfio/pci/vfio_pci_core.c:vfio_pci_core_read",
  },
  "VFIO-PCI-RW-2": {
    rule: "the offset must lie in a region that there is",
    errno: "EINVAL",
    source: "drivers/vfio/pci/vfio_pci_core.c:vfio_pci_rw",
  },
  "VFIO-PCI-RW-3": {
    rule: "a BAR, ROM or VGA range must be one that the function has, and is accessed from in it",
    errno: "EINVAL",
    source: "drivers/vfio/pci/vfio_pci_rdwr.c:vfio_pci_bar_rw",
  },
  "VFIO-PCI-RW-4": {
    rule: "the ROM can't be written",
    errno: "EINVAL",
    source: "drivers/vfio/pci/vfio_pci_core.c:vfio_pci_rw",
  },
});

/** Where the VGA range ends. */
const VGA_END = 0xc0000;

/** The region of the driver's own that a position lies in, if it does. */
const deviceRegionAt = ({ regions }: PciFunction, position: number): DeviceRegion | undefined =>
  regions[Math.floor(position / REGION_SIZE) - PCI_REGION.COUNT];

export const steps = {
  ...config,

  /** vfio_pci_core_read */
  *readRegion(k: Kernel, pciFunction: PciFunction, io: Transfer, position: number): Operation<number> {
    if (!k.vfioPci.mayMove(k, pciFunction, io, position)) return 0;
    const own = deviceRegionAt(pciFunction, position);
    if (own) return yield* own.read(k, io, position % REGION_SIZE);
    return yield* k.vfioPci.readConfig(k, pciFunction, io, position);
  },

  /** vfio_pci_core_write */
  *writeRegion(k: Kernel, pciFunction: PciFunction, io: Transfer, position: number): Operation<number> {
    if (!k.vfioPci.mayMove(k, pciFunction, io, position, rule["VFIO-PCI-RW-4"])) return 0;
    const own = deviceRegionAt(pciFunction, position);
    if (own) return yield* own.write(k, io, position % REGION_SIZE);
    return yield* k.vfioPci.writeConfig(k, pciFunction, io, position);
  },

  /** Whether there is anything to move; refuses what is in no region, and tells nothing of what lies behind BARs, ROM and VGA. */
  mayMove(k: Kernel, pciFunction: PciFunction, { count }: Transfer, position: number, romRefusal?: Clause): boolean {
    if (count === 0) {
      k.keeps(rule["VFIO-PCI-RW-1"]);
      return false;
    }
    const index = Math.floor(position / REGION_SIZE);
    must(index < PCI_REGION.COUNT + pciFunction.regions.length, rule["VFIO-PCI-RW-2"]);
    k.vfioPci.resume(k, pciFunction);
    if (romRefusal && index === PCI_REGION.ROM) refuse(romRefusal);
    if (index === PCI_REGION.CONFIG || index >= PCI_REGION.COUNT) return true;
    must(position % REGION_SIZE < k.vfioPci.rangeSize(k, pciFunction, index), rule["VFIO-PCI-RW-3"]);
    throw new Unmodelled("what is behind a function's BARs, ROM and VGA ranges");
  },

  /** How long a BAR, the ROM or the VGA range is; 0 where there is none. */
  rangeSize(k: Kernel, { spec }: PciFunction, index: number): number {
    if (index === PCI_REGION.VGA) return spec.vga && k.has("VFIO_PCI_VGA") ? VGA_END : 0;
    return spec.bars[index]?.size ?? 0;
  },
};
