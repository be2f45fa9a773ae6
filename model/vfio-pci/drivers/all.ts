/** The drivers that are built on vfio_pci_core beside vfio-pci, as the bus knows them, each for the functions that it is made for. */
import type { PciDriver } from "../../driver-core/pci-driver.ts";
import { vfioOverride } from "../../driver-core/pci-id.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { Unmodelled } from "../../kernel/operation.ts";
import type { PciFunction } from "../../pci/function.ts";
import type { FunctionTraits } from "../../pci/traits.ts";
import type { Version } from "../../uapi/version.ts";
import type { VfioPciCoreDevice } from "../core-device.ts";
import { HisiAccDevice } from "./hisi-acc.ts";
import { Mlx5Device } from "./mlx5.ts";
import { NvgraceDevice } from "./nvgrace-gpu.ts";
import { PdsDevice } from "./pds.ts";
import { QatDevice } from "./qat.ts";
import { VirtioDevice } from "./virtio.ts";
import { XeDevice } from "./xe.ts";

/** A driver's device of a function that says what such a driver asks; undefined for one that is not of its kind. */
type Make = (k: Kernel, pciFunction: PciFunction, traits: FunctionTraits) => VfioPciCoreDevice | undefined;

/** A driver that only takes functions that are given to it by name. */
function variant(name: string, since: Version, vendor: number, devices: readonly number[], make: Make): PciDriver {
  return {
    name,
    since,
    idTable: devices.map((device) => vfioOverride(vendor, device)),
    driverManagedDma: true,
    takesAny: true,
    *probe(k, pciFunction) {
      const { traits } = pciFunction.spec;
      const device = traits && make(k, pciFunction, traits);
      if (!device) throw new Unmodelled(`${name} with a device that is not its own`);
      k.alloc();
      k.vfioPci.register(k, device);
    },
    remove: (k, pciFunction) => k.vfioPci.remove(k, pciFunction),
  };
}

export const mlx5Driver = variant("mlx5_vfio_pci", "5.18", 0x15b3, [0x101e], (k, of, traits) =>
  traits.kind === "mlx5" ? new Mlx5Device(k, of, traits) : undefined,
);
export const hisiAccDriver = variant("hisi_acc_vfio_pci", "5.18", 0x19e5, [0xa256, 0xa259, 0xa251], (k, of, traits) =>
  traits.kind === "hisi-acc" ? new HisiAccDevice(k, of, traits) : undefined,
);
export const pdsDriver = variant("pds_vfio_pci", "6.6", 0x1dd8, [0x1003], (_k, of, traits) =>
  traits.kind === "pds" ? new PdsDevice(of, traits) : undefined,
);
export const virtioDriver = variant("virtio_vfio_pci", "6.8", 0x1af4, [0x1041, 0x1042], (k, of, traits) =>
  traits.kind === "virtio" ? new VirtioDevice(k, of, traits) : undefined,
);
export const nvgraceDriver = variant(
  "nvgrace_gpu_vfio_pci",
  "6.9",
  0x10de,
  [0x2342, 0x2345, 0x2348],
  (_k, of, traits) => (traits.kind === "nvgrace-gpu" ? new NvgraceDevice(of, traits) : undefined),
);
export const qatDriver = variant("qat_vfio_pci", "6.10", 0x8086, [0x4941, 0x4943, 0x4945], (_k, of, traits) =>
  traits.kind === "qat" ? new QatDevice(of, traits) : undefined,
);
export const xeDriver = variant("xe-vfio-pci", "6.19", 0x8086, [0xb080, 0xe20b], (_k, of, traits) =>
  traits.kind === "xe" ? new XeDevice(of, traits) : undefined,
);

export const VFIO_PCI_VARIANTS: readonly PciDriver[] = [
  mlx5Driver,
  hisiAccDriver,
  pdsDriver,
  virtioDriver,
  nvgraceDriver,
  qatDriver,
  xeDriver,
];

/** The driver that a function is made over to when the machine comes up. */
export function driverNameFor(traits: FunctionTraits | undefined): string {
  switch (traits?.kind) {
    case "mlx5":
      return mlx5Driver.name;
    case "hisi-acc":
      return hisiAccDriver.name;
    case "pds":
      return pdsDriver.name;
    case "virtio":
      return virtioDriver.name;
    case "nvgrace-gpu":
      return nvgraceDriver.name;
    case "qat":
      return qatDriver.name;
    case "xe":
      return xeDriver.name;
    case "igd":
    case "zpci":
    case "nvlink2":
    case "migration-v1":
    case undefined:
      return "vfio-pci";
  }
}
