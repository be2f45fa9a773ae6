/** vfio-pci: the driver that takes any function, and adds nothing to the library. Beside drivers/vfio/pci/vfio_pci.c. */
import { VfioPciCoreDevice } from "../core-device.ts";

export class VfioPciDevice extends VfioPciCoreDevice {
  override readonly name = "vfio-pci";
}
