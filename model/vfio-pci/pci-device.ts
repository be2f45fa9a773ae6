/** The PCI function behind a device of vfio-pci: to_pci_dev() of what stands in struct vfio_pci_core_device. */
import type { PciFunction } from "../pci/function.ts";
import type { VfioDevice } from "../vfio/device.ts";

/** The function; it is a mistake of the model's author to ask it of another kind of device. */
export function functionOf(device: VfioDevice): PciFunction {
  if (device.backing.kind !== "pci") throw new Error(`${device.name} is no PCI function`);
  return device.backing.function;
}
