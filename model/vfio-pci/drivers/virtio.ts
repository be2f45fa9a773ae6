/** virtio-vfio-pci: virtual functions of virtio devices, which migrate. Beside drivers/vfio/pci/virtio/{main,migrate}.c. */
import type { Transfer } from "../../kernel/file.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../../kernel/operation.ts";
import type { PciFunction } from "../../pci/function.ts";
import type { VirtioTraits } from "../../pci/traits.ts";
import type { VfioDevice } from "../../vfio/device.ts";
import { REGION_SIZE, type RegionDescription } from "../../vfio/device-info.ts";
import { MIGRATION } from "../../vfio/migration-states.ts";
import { inConfig } from "./config-overlay.ts";
import type { IncomingStream } from "./data-file.ts";
import { MigratingDevice } from "./migrating-device.ts";
import { DriverMigration } from "./migration.ts";
import { imageOf } from "./opaque-state.ts";
import { DEVICE_DATA, RecordStream, record } from "./records.ts";
import { LegacyIo, steps as legacy } from "./virtio-legacy-io.ts";

class VirtioMigration extends DriverMigration {
  override readonly flags = MIGRATION.STOP_COPY | MIGRATION.P2P | MIGRATION.PRE_COPY;
  readonly #parts: Uint8Array;

  constructor(partsSize: number) {
    super();
    this.#parts = imageOf("virtio", partsSize);
  }

  /** Parts of a device are always saved whole. */
  override precopied(): Uint8Array {
    return record(DEVICE_DATA, this.#parts);
  }

  override stopped(): Uint8Array {
    return record(DEVICE_DATA, this.#parts);
  }

  override receive(): IncomingStream {
    return new RecordStream({ tags: [], isOwn: (data) => Buffer.compare(data, this.#parts) === 0 });
  }

  override dataSize(): number {
    return this.#parts.length;
  }

  /** The device is asked for its parts again at most once a second. */
  override foreseePrecopyInfo(left: number): void {
    if (left === 0) throw new Unmodelled("whether a second has gone by");
  }
}

/** struct virtiovf_pci_core_device */
export class VirtioDevice extends MigratingDevice {
  override readonly name: string;
  readonly legacy: LegacyIo | null;

  /** virtiovf_pci_probe */
  constructor(k: Kernel, pciFunction: PciFunction, { legacyIo, partsSize }: VirtioTraits) {
    super(pciFunction, partsSize !== null && k.since("6.13") ? new VirtioMigration(partsSize) : null);
    const { device, bars } = pciFunction.spec;
    this.legacy = legacyIo && LegacyIo.serves(device, bars) ? new LegacyIo() : null;
    this.name = this.legacy ? "virtio-vfio-pci-trans" : "virtio-vfio-pci";
  }

  override *close(k: Kernel, device: VfioDevice): Operation<void> {
    this.legacy?.forget();
    yield* super.close(k, device);
  }

  override region(k: Kernel, index: number): RegionDescription {
    return this.legacy && index === 0 ? k.virtioVfio.bar0Region(k) : super.region(k, index);
  }

  override *read(k: Kernel, io: Transfer, position: number, device: VfioDevice): Operation<number> {
    if (!this.legacy || io.count === 0) return yield* super.read(k, io, position, device);
    if (Math.floor(position / REGION_SIZE) === 0) return k.virtioVfio.readBar0(k, this, this.legacy, io, position);
    const done = yield* super.read(k, io, position, device);
    if (inConfig(position)) k.virtioVfio.overlayConfig(k, this.legacy, io, position);
    return done;
  }

  override *write(k: Kernel, io: Transfer, position: number, device: VfioDevice): Operation<number> {
    if (!this.legacy || io.count === 0) return yield* super.write(k, io, position, device);
    if (Math.floor(position / REGION_SIZE) === 0) return k.virtioVfio.writeBar0(k, this, this.legacy, io, position);
    const done = yield* super.write(k, io, position, device);
    if (inConfig(position)) this.legacy.written(io, position);
    return done;
  }

  override *resetDone(k: Kernel): Operation<void> {
    this.legacy?.resetDone();
    yield* super.resetDone(k);
  }

  override trace(device: VfioDevice): number {
    return super.trace(device) ^ ((this.legacy?.trace() ?? 0) << 8);
  }
}

export const steps = legacy;
