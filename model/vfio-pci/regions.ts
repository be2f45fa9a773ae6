/** Reading and writing the regions of a function. Beside vfio_pci_rw of drivers/vfio/pci/vfio_pci_core.c. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import type { Transfer } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import { PCI_REGION, REGION_SIZE } from "../vfio/device-info.ts";
import { steps as config } from "./config.ts";
import type { DeviceRegion } from "./core-device.ts";
import { steps as dmabuf } from "./dmabuf.ts";
import { steps as dmabufFeature } from "./dmabuf-feature.ts";
import { steps as ioeventfd } from "./ioeventfd.ts";
import { steps as mappings } from "./mappings.ts";
import { steps as rdwr } from "./rdwr.ts";
import { steps as vga } from "./vga.ts";

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
  "VFIO-PCI-RW-4": {
    rule: "the ROM can't be written",
    errno: "EINVAL",
    source: "drivers/vfio/pci/vfio_pci_core.c:vfio_pci_rw",
  },
});

/** The region of the driver's own that a position lies in, if it does. */
const deviceRegionAt = ({ regions }: PciFunction, position: number): DeviceRegion | undefined =>
  regions[Math.floor(position / REGION_SIZE) - PCI_REGION.COUNT];

export const steps = {
  ...config,
  ...rdwr,
  ...vga,
  ...mappings,
  ...ioeventfd,
  ...dmabuf,
  ...dmabufFeature,

  /** vfio_pci_core_read */
  *readRegion(k: Kernel, pciFunction: PciFunction, io: Transfer, position: number): Operation<number> {
    const index = k.vfioPci.regionAt(k, pciFunction, io, position);
    const own = deviceRegionAt(pciFunction, position);
    if (index !== null && own) return yield* own.read(k, io, position % REGION_SIZE);
    switch (index) {
      case null:
        return 0;
      case PCI_REGION.CONFIG:
        return yield* k.vfioPci.readConfig(k, pciFunction, io, position);
      case PCI_REGION.VGA:
        return yield* k.vfioPci.readCut(
          k,
          pciFunction,
          io.block,
          k.vfioPci.cutVgaTransfer(k, pciFunction, io.count, position),
        );
      default:
        return yield* k.vfioPci.readBar(k, pciFunction, io, position);
    }
  },

  /** vfio_pci_core_write */
  *writeRegion(k: Kernel, pciFunction: PciFunction, io: Transfer, position: number): Operation<number> {
    const index = k.vfioPci.regionAt(k, pciFunction, io, position);
    const own = deviceRegionAt(pciFunction, position);
    if (index !== null && own) return yield* own.write(k, io, position % REGION_SIZE);
    switch (index) {
      case null:
        return 0;
      case PCI_REGION.CONFIG:
        return yield* k.vfioPci.writeConfig(k, pciFunction, io, position);
      case PCI_REGION.VGA:
        return yield* k.vfioPci.writeCut(
          k,
          pciFunction,
          io.block,
          k.vfioPci.cutVgaTransfer(k, pciFunction, io.count, position),
        );
      case PCI_REGION.ROM:
        return refuse(rule["VFIO-PCI-RW-4"]);
      default:
        return yield* k.vfioPci.writeBar(k, pciFunction, io, position);
    }
  },

  /** The region in which something is to be moved; null where nothing is. */
  regionAt(k: Kernel, pciFunction: PciFunction, { count }: Transfer, position: number): number | null {
    if (count === 0) {
      k.keeps(rule["VFIO-PCI-RW-1"]);
      return null;
    }
    const index = Math.floor(position / REGION_SIZE);
    must(index < PCI_REGION.COUNT + pciFunction.regions.length, rule["VFIO-PCI-RW-2"]);
    k.vfioPci.resume(k, pciFunction);
    return index;
  },
};
