/**
 * A PCI function in the hands of a driver that is built on vfio_pci_core. Beside include/linux/vfio_pci_core.h.
 *
 * The kernel's drivers fill a struct vfio_device_ops, most of it with vfio_pci_core_* and the rest with functions of their
 * own that call those in turn. So do drivers here: each is a class, its methods are the library's unless it has its own, and
 * `super` leads to the library.
 */
import type { EventCounter } from "../eventfd.ts";
import type { Transfer } from "../kernel/file.ts";
import type { Argument, Ioctl } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import type { AccessWidth } from "../program.ts";
import type { Bar } from "../topology.ts";
import type { DeviceFile, VfioDevice, VfioDeviceOps } from "../vfio/device.ts";
import { type Capability, PCI_IRQ, type RegionDescription } from "../vfio/device-info.ts";
import type { LoggingOps } from "../vfio/dma-logging.ts";
import type { Feature } from "../vfio/feature.ts";
import type { MigrationOps } from "../vfio/migration.ts";
import { traceBuffers } from "./dmabuf.ts";
import { vfioPciFeatures } from "./feature.ts";

/** struct vfio_pci_region: a region behind those that every PCI device has; it is there while the device is open. */
export interface DeviceRegion {
  readonly type: number;
  readonly subtype: number;
  /** Bytes. */
  readonly size: number;
  /** Of REGION_FLAGS. */
  readonly flags: number;
  /** What GET_REGION_INFO tells of it behind its type. */
  readonly capabilities: readonly Capability[];
  /** Moves bytes between the region and a user; `offset` is from its begin and may lie behind its end. */
  read(k: Kernel, io: Transfer, offset: number): Operation<number>;
  write(k: Kernel, io: Transfer, offset: number): Operation<number>;
}

/** struct vfio_pci_core_device, and the operations of its driver; made when the driver takes the function. */
export abstract class VfioPciCoreDevice implements VfioDeviceOps {
  abstract readonly name: string;
  readonly function: PciFunction;
  readonly features: readonly Feature[] = vfioPciFeatures;
  readonly migration?: MigrationOps;
  readonly logging?: LoggingOps;

  /** What the device can do besides is known when the driver takes it. */
  constructor(pciFunction: PciFunction, has: Pick<VfioDeviceOps, "migration" | "logging"> = {}) {
    this.function = pciFunction;
    if (has.migration) this.migration = has.migration;
    if (has.logging) this.logging = has.logging;
  }

  match(k: Kernel, own: string, text: string): boolean {
    return k.vfioPci.match(k, this.function, own, text);
  }

  matchToken(k: Kernel, token: string | null): void {
    k.vfioPci.matchToken(k, this.function, token);
  }

  /** open_device. A driver with something to set up does so between enable and finishEnable. */
  *open(k: Kernel, _device: VfioDevice): Operation<void> {
    yield* k.vfioPci.enable(k, this.function);
    k.vfioPci.finishEnable(k, this.function);
  }

  *close(k: Kernel, _device: VfioDevice): Operation<void> {
    yield* k.vfioPci.closeDevice(k, this.function);
  }

  ioctl(k: Kernel, file: DeviceFile, command: Ioctl, arg: Argument): Operation<number> {
    return k.vfioPci.ioctl(k, this, file, command, arg);
  }

  /** get_region_info_caps: refuses an index that there is no region for. */
  region(k: Kernel, index: number): RegionDescription {
    return k.vfioPci.region(k, this.function, index);
  }

  requestChannel(): EventCounter | null {
    return this.function.irqs.singles[PCI_IRQ.REQ];
  }

  resume(k: Kernel, _device: VfioDevice): void {
    k.vfioPci.resume(k, this.function);
  }

  read(k: Kernel, io: Transfer, position: number, _device: VfioDevice): Operation<number> {
    return k.vfioPci.readRegion(k, this.function, io, position);
  }

  write(k: Kernel, io: Transfer, position: number, _device: VfioDevice): Operation<number> {
    return k.vfioPci.writeRegion(k, this.function, io, position);
  }

  *mmap(k: Kernel, _file: DeviceFile, length: number, offset: number, shared: boolean): Operation<number> {
    return k.vfioPci.mapBar(k, this.function, length, offset, shared);
  }

  load(k: Kernel, _device: VfioDevice, offset: number, width: AccessWidth): Operation<bigint | null> {
    return k.vfioPci.loadMapped(k, this.function, offset, width);
  }

  store(k: Kernel, _device: VfioDevice, offset: number, width: AccessWidth, value: bigint): Operation<void> {
    return k.vfioPci.storeMapped(k, this.function, offset, width, value);
  }

  /** get_dmabuf_phys: a region that can be lent as a buffer, or null where there is none; a driver without it lends nothing. */
  lendable?(region: number): Pick<Bar, "size" | "memory"> | null;

  /** reset_done of struct pci_error_handlers: the function was reset, by whoever. */
  *resetDone(_k: Kernel): Operation<void> {}

  trace(_device: VfioDevice): number {
    const { irqs, power, vfToken, ioeventfds } = this.function;
    const token = vfToken ? vfToken.trace() * 31 : 0;
    const lent = 0x1000_0000 * traceBuffers(this.function);
    return irqs.trace() * 4 + power.trace() + token + 0x100000 * ioeventfds.length + lent;
  }
}
