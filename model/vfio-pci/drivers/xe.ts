/** xe-vfio-pci: virtual functions of Intel graphics that the xe driver has. Beside drivers/vfio/pci/xe/main.c. */
import type { Kernel } from "../../kernel/kernel.ts";
import { Unmodelled } from "../../kernel/operation.ts";
import type { PciFunction } from "../../pci/function.ts";
import type { XeTraits } from "../../pci/traits.ts";
import { MIGRATION } from "../../vfio/migration-states.ts";
import type { IncomingStream } from "./data-file.ts";
import { MigratingDevice } from "./migrating-device.ts";
import { DriverMigration } from "./migration.ts";
import { imageOf, WholeStream } from "./opaque-state.ts";

/** The physical function's driver takes a stream apart as it comes. */
class XeStream extends WholeStream {
  override check(_k: Kernel, bytes: Uint8Array): void {
    if (Buffer.compare(bytes, this.expected.subarray(0, bytes.length)) !== 0) {
      throw new Unmodelled("what the driver of the physical function makes of a state that it has not saved");
    }
  }

  override load(): void {
    if (this.came.length < this.expected.length) throw new Unmodelled("a stream that ends within a packet");
  }
}

class XeMigration extends DriverMigration {
  override readonly flags = MIGRATION.STOP_COPY | MIGRATION.P2P;
  readonly #image: Uint8Array;

  constructor({ stateSize }: XeTraits) {
    super();
    this.#image = imageOf("xe", stateSize);
  }

  override precopied(): Uint8Array {
    throw new Error("xe copies no device that runs");
  }

  override stopped(): Uint8Array {
    return this.#image;
  }

  override receive(): IncomingStream {
    return new XeStream(this.#image, Number.MAX_SAFE_INTEGER);
  }

  override dataSize(): number {
    return this.#image.length;
  }
}

/** struct xe_vfio_pci_core_device */
export class XeDevice extends MigratingDevice {
  override readonly name = "xe-vfio-pci";

  constructor(pciFunction: PciFunction, traits: XeTraits) {
    super(pciFunction, new XeMigration(traits));
  }
}
