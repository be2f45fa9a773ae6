/** vfio-pci: the driver that takes any function, and knows some for which the library has more. Beside drivers/vfio/pci/vfio_pci.c. */
import type { Kernel } from "../../kernel/kernel.ts";
import type { Operation } from "../../kernel/operation.ts";
import type { Bar } from "../../topology.ts";
import type { VfioDevice } from "../../vfio/device.ts";
import { VfioPciCoreDevice } from "../core-device.ts";

export class VfioPciDevice extends VfioPciCoreDevice {
  override readonly name = "vfio-pci";

  /** vfio_pci_open_device */
  override *open(k: Kernel, _device: VfioDevice): Operation<void> {
    yield* k.vfioPci.enable(k, this.function);
    k.igd.init(k, this.function);
    k.nvlink2.init(k, this.function);
    k.migrationV1.init(k, this.function);
    k.vfioPci.finishEnable(k, this.function);
  }

  /** vfio_pci_core_get_dmabuf_phys */
  override lendable(region: number): Bar | null {
    return this.function.spec.bars[region] ?? null;
  }

  override *resetDone(k: Kernel): Operation<void> {
    k.migrationV1.resetDone(k, this.function);
  }
}
