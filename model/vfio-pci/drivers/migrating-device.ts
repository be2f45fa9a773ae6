/** What drivers of devices that migrate share: where in a device's life its migration state is made, told of resets, and ended. */
import type { Kernel } from "../../kernel/kernel.ts";
import type { Operation } from "../../kernel/operation.ts";
import type { PciFunction } from "../../pci/function.ts";
import type { VfioDevice } from "../../vfio/device.ts";
import type { LoggingOps } from "../../vfio/dma-logging.ts";
import { VfioPciCoreDevice } from "../core-device.ts";
import type { DriverMigration } from "./migration.ts";

/** A device that may migrate; one that can't is what the library makes of it. */
export abstract class MigratingDevice extends VfioPciCoreDevice {
  declare readonly migration?: DriverMigration;

  constructor(pciFunction: PciFunction, migration: DriverMigration | null, logging: LoggingOps | null = null) {
    super(pciFunction, { ...(migration ? { migration } : {}), ...(logging ? { logging } : {}) });
  }

  override *close(k: Kernel, device: VfioDevice): Operation<void> {
    if (this.migration) yield* k.migrating.close(k, this.migration);
    yield* super.close(k, device);
  }

  override *resetDone(k: Kernel): Operation<void> {
    if (this.migration) yield* k.migrating.resetDone(k, this.migration);
  }

  override trace(device: VfioDevice): number {
    return super.trace(device) ^ ((this.migration?.trace() ?? 0) << 16);
  }
}
