/**
 * Drivers of the PCI bus, an entry each. Beside include/linux/pci.h:struct pci_driver.
 *
 * A topology names those that it has. What a driver does goes through the kernel's steps, as everywhere.
 */
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import type { Version } from "../uapi/version.ts";
import { VFIO_PCI_VARIANTS } from "../vfio-pci/drivers/all.ts";
import { managedVfioDriver, mlx5CoreDriver } from "./mlx5-managed.ts";
import { PCI_ANY_ID, type PciDeviceId, pciDevice, vfioOverride } from "./pci-id.ts";

/** A driver as it registers itself. */
export interface PciDriver {
  readonly name: string;
  /** The first kernel that has it, where that is not older than all of the suite's. */
  readonly since?: Version;
  /** Ids that it brings; null where it has no table, and matches nothing but what it is told to. */
  readonly idTable: readonly PciDeviceId[] | null;
  /** Whether it leaves the group's DMA to its users; else the group is the kernel's own while it has a function. */
  readonly driverManagedDma: boolean;
  /** Whether it takes any function that it is given; of others the model knows only what they do with those of their table. */
  readonly takesAny: boolean;
  /** The driver's own probe: refuses, or has the function. */
  probe(k: Kernel, pciFunction: PciFunction): Operation<void>;
  /** The driver's own remove, which may wait for users. */
  remove(k: Kernel, pciFunction: PciFunction): Operation<void>;
  /** Makes so many virtual functions, or ends them all; left out by drivers that can't. */
  readonly sriovConfigure?: (k: Kernel, physical: PciFunction, count: number) => Operation<void>;
}

/** A probe or remove that does nothing that anybody sees. */
function* nothing(): Operation<void> {}

/** vfio_pci_driver */
export const vfioPciDriver: PciDriver = {
  name: "vfio-pci",
  idTable: [vfioOverride(PCI_ANY_ID, PCI_ANY_ID)],
  driverManagedDma: true,
  takesAny: true,
  *probe(k, pciFunction) {
    k.vfioPci.probe(k, pciFunction);
  },
  remove: (k, pciFunction) => k.vfioPci.remove(k, pciFunction),
  sriovConfigure: (k, physical, count) => k.vfioPci.sriovConfigure(k, physical, count),
};

/** stub_driver of drivers/pci/pci-stub.c */
export const pciStubDriver: PciDriver = {
  name: "pci-stub",
  idTable: null,
  driverManagedDma: true,
  takesAny: true,
  probe: nothing,
  remove: nothing,
};

/** A driver that uses its device itself. */
function native(name: string, idTable: readonly PciDeviceId[]): PciDriver {
  return { name, idTable, driverManagedDma: false, takesAny: false, probe: nothing, remove: nothing };
}

const drivers: readonly PciDriver[] = [
  vfioPciDriver,
  pciStubDriver,
  mlx5CoreDriver,
  managedVfioDriver,
  ...VFIO_PCI_VARIANTS,
  native("e1000", [pciDevice(0x8086, 0x100e)]),
  native("e1000e", [pciDevice(0x8086, 0x10d3)]),
];

/** The drivers that the model knows, by name. */
export const PCI_DRIVERS: ReadonlyMap<string, PciDriver> = new Map(drivers.map((driver) => [driver.name, driver]));
