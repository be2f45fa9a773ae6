/**
 * Both sides of the design with auxiliary devices: mlx5_core, which manages functions of its adapter and makes a device of the
 * auxiliary bus for each; and mlx5-vfio-pci, which is bound to such a function and to its auxiliary device. Beside patch 4/9 of
 * the series, "mlx5-vfio-pci: add new vfio_pci driver for mlx5 devices", <20210201162828.5938-5-mgurtovoy@nvidia.com>.
 */
import { clauses, must } from "../kernel/clause.ts";
import { MANAGED_VFIO, pciDevId } from "./auxiliary.ts";
import type { PciDriver } from "./pci-driver.ts";
import { PCI_ANY_ID, pciDevice } from "./pci-id.ts";

const source = "drivers/vfio/pci/mlx5_vfio_pci.c:mlx5_vfio_pci_probe";

export const rule = clauses({
  "MLX5-VFIO-1": {
    machine: "managed",
    rule: "a function becomes a VFIO device of its manager's only while VFIO's driver has the auxiliary device with its number",
    errno: "ENODEV",
    source,
  },
  "MLX5-VFIO-2": {
    machine: "managed",
    rule: "the function and its auxiliary device each have a driver, and the function is a VFIO device",
    source,
    observable: "sysfs",
  },
});

/** mlx5_core, as far as it manages functions. */
export const mlx5CoreDriver: PciDriver = {
  name: "mlx5_core",
  idTable: [pciDevice(0x15b3, 0xa2d6)],
  driverManagedDma: false,
  takesAny: false,
  *probe(k, pciFunction) {
    k.alloc();
    for (const { spec } of k.functions) {
      const managed = k.topology.managed.some(
        (each) => each.function === spec.name && each.manager === pciFunction.spec.name,
      );
      if (managed) yield* k.driverCore.addAuxiliary(k, "mlx5_core.vfio_pci", pciDevId(spec), pciFunction);
    }
  },
  remove: (k, pciFunction) => k.driverCore.deleteAuxiliaries(k, pciFunction),
};

/** mlx5_vfio_pci_driver of the series. */
export const managedVfioDriver: PciDriver = {
  name: MANAGED_VFIO,
  idTable: [pciDevice(0x15b3, 0x6001), { ...pciDevice(0x1af4, 0x1042), subvendor: 0x15b3, subdevice: PCI_ANY_ID }],
  driverManagedDma: true,
  takesAny: true,
  *probe(k, pciFunction) {
    must(k.driverCore.isManaged(k, pciFunction), rule["MLX5-VFIO-1"]);
    k.vfioPci.probe(k, pciFunction);
    k.keeps(rule["MLX5-VFIO-2"]);
  },
  remove: (k, pciFunction) => k.vfioPci.remove(k, pciFunction),
};
