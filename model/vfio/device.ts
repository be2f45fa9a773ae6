/** VFIO devices, their sets, and the files through which they are used. Beside drivers/vfio/vfio.h and include/linux/vfio.h. */
import type { EventCounter } from "../eventfd.ts";
import type { Access, IommufdContext, IommufdDevice } from "../iommufd/objects.ts";
import { File, type Transfer } from "../kernel/file.ts";
import type { Argument, Ioctl } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { Operation } from "../kernel/operation.ts";
import type { Vm } from "../kvm/kvm.ts";
import type { Mdev } from "../mdev/objects.ts";
import type { PciFunction } from "../pci/function.ts";
import type { AccessWidth } from "../program.ts";
import type { LoggingOps } from "./dma-logging.ts";
import type { Feature } from "./feature.ts";
import type { VfioGroup } from "./group.ts";
import type { MigrationOps } from "./migration.ts";

const devSetLock = new LockClass("dev_set->lock");
const kvmRefLock = new LockClass("df->kvm_ref_lock");

/** Devices that are reset together: a PCI bus or slot, or a device alone. */
export class DeviceSet {
  readonly devices: VfioDevice[] = [];
  readonly lock = new Lock(devSetLock);

  /** vfio_device_set_open_count */
  openCount(): number {
    let count = 0;
    for (const device of this.devices) count += device.openCount;
    return count;
  }
}

/** How an emulated device takes PASIDs of its own. */
export interface PasidOps {
  /** Attaches one to an IOAS, or moves it there. */
  attach(k: Kernel, device: VfioDevice, pasid: number, ioasId: number): Operation<void>;
  detach(k: Kernel, device: VfioDevice, pasid: number): Operation<void>;
  /** The IOAS that one is attached to; null where it is to none. */
  attachedTo(pasid: number): number | null;
}

/** What a bus driver brings: vfio-pci, mtty, mdpy, idxd. */
export interface VfioDeviceOps {
  readonly name: string;
  /** Answers every command that the core does not. */
  ioctl(k: Kernel, file: DeviceFile, ioctl: Ioctl, arg: Argument): Operation<number>;
  /** Whether a text names the device `own`; may refuse the call. Without it the two must be equal. */
  match?(k: Kernel, own: string, text: string): boolean;
  /** match_token_uuid: refuses a user who has not the right token, in hexadecimal. Without it there are no tokens. */
  matchToken?(k: Kernel, token: string | null): void;
  /** Features that the core does not know. */
  readonly features?: readonly Feature[];
  readonly migration?: MigrationOps;
  readonly logging?: LoggingOps;
  /** vfio_device_pm_runtime_get: wakes the device up, as every command does that gets past the gate. */
  resume?(k: Kernel, device: VfioDevice): void;
  /** Of an emulated device: without them it takes no PASIDs. */
  readonly pasids?: PasidOps;
  /** Reads and writes regions, from a position on. */
  read(k: Kernel, io: Transfer, position: number, device: VfioDevice): Operation<number>;
  write(k: Kernel, io: Transfer, position: number, device: VfioDevice): Operation<number>;
  /** Gives the address; a driver that maps nothing has none. */
  mmap?(k: Kernel, file: DeviceFile, length: number, offset: number, shared: boolean): Operation<number>;
  /** Accesses of what was mapped, by offset in the file; left out where nobody knows. */
  load?(k: Kernel, device: VfioDevice, offset: number, width: AccessWidth): Operation<bigint | null>;
  store?(k: Kernel, device: VfioDevice, offset: number, width: AccessWidth, value: bigint): Operation<void>;
  /** open_device: the first file of the device is opened; may refuse, and then leaves nothing. */
  open?(k: Kernel, device: VfioDevice): Operation<void>;
  /** close_device: the last file of the device is closed. */
  close?(k: Kernel, device: VfioDevice): Operation<void>;
  /** The driver's remove: the device is registered no more. */
  removed?(k: Kernel): void;
  /** The eventfd by which the user wants to be asked for the device, where he has set one: what its driver's request signals. */
  requestChannel?(): EventCounter | null;
  /** A number for what calls can change of the device itself. */
  trace?(device: VfioDevice): number;
}

/** What stands behind a VFIO device. */
export type Backing =
  | { readonly kind: "pci"; readonly function: PciFunction }
  | { readonly kind: "mdev"; readonly mdev: Mdev };

export class VfioDevice {
  /** dev_name(): PCI address or UUID. */
  readonly name: string;
  readonly ops: VfioDeviceOps;
  readonly backing: Backing;
  readonly group: VfioGroup;
  readonly devSet: DeviceSet;
  openCount = 0;
  /** What the first open put behind the device; null while it is closed. */
  openedWith: "container" | "iommufd" | null = null;
  cdevOpened = false;
  /** Files that keep the device registered. */
  registrations = 0;
  registered = true;
  iommufdDevice: IommufdDevice | null = null;
  iommufdAccess: Access | null = null;
  iommufdAttached = false;
  /** PASIDs of it that are attached. */
  readonly pasids = new Set<number>();
  /** The VM whose reference the open device holds. */
  kvm: Vm | null = null;

  constructor(name: string, ops: VfioDeviceOps, backing: Backing, group: VfioGroup, devSet: DeviceSet) {
    this.name = name;
    this.ops = ops;
    this.backing = backing;
    this.group = group;
    this.devSet = devSet;
    devSet.devices.push(this);
  }

  get emulated(): boolean {
    return this.backing.kind === "mdev";
  }

  /** Whether PASIDs of it can be attached: its driver has pasid_attach_ioas. */
  get takesPasids(): boolean {
    return !this.emulated || this.ops.pasids !== undefined;
  }
}

/** An open device: struct vfio_device_file. */
export class DeviceFile extends File {
  readonly kind = "device";
  readonly device: VfioDevice;
  /** Set when the file came from a group, null when it came from the device's own node. */
  readonly group: VfioGroup | null;
  accessGranted = false;
  /** Where read(2) and write(2) go on. */
  position = 0;
  iommufd: IommufdContext | null = null;
  devid = 0;
  /** The VM that kvm-vfio recorded in this file; not counted. */
  kvm: Vm | null = null;
  readonly kvmRefLock = new Lock(kvmRefLock);

  constructor(device: VfioDevice, group: VfioGroup | null, mode: number) {
    super(mode);
    this.device = device;
    this.group = group;
  }

  override ioctl(k: Kernel, ioctl: Ioctl, arg: Argument): Operation<number> {
    return k.vfio.deviceIoctl(k, this, ioctl, arg);
  }

  override release(k: Kernel): Operation<void> {
    return k.vfio.release(k, this);
  }

  override read(k: Kernel, io: Transfer): Operation<number> {
    return k.vfio.read(k, this, io);
  }

  override write(k: Kernel, io: Transfer): Operation<number> {
    return k.vfio.write(k, this, io);
  }

  override mmap(k: Kernel, length: number, offset: number, _prot: number, shared: boolean): Operation<number> {
    return k.vfio.mmap(k, this, length, offset, shared);
  }

  override load(k: Kernel, offset: number, width: AccessWidth): Operation<bigint | null> {
    return this.device.ops.load?.(k, this.device, offset, width) ?? super.load(k, offset, width);
  }

  override store(k: Kernel, offset: number, width: AccessWidth, value: bigint): Operation<void> {
    return this.device.ops.store?.(k, this.device, offset, width, value) ?? super.store(k, offset, width, value);
  }
}
