/**
 * The kernel: what lives in it, who runs, and the steps that its operations are made of.
 *
 * Operations call each other through the kernel (`k.group.block(device)`), never directly. That is the one seam by which
 * a fault or a deviation replaces a single step; the model itself knows nothing of either.
 */

import type { AuxiliaryDevice } from "../driver-core/auxiliary.ts";
import { steps as driverCore } from "../driver-core/bind.ts";
import { PciBus } from "../driver-core/bus.ts";
import { type IommuGroup, steps as iommu } from "../iommu/group.ts";
import { steps as iommufdDevice } from "../iommufd/device.ts";
import { steps as ioas } from "../iommufd/ioas.ts";
import { steps as iommufd } from "../iommufd/main.ts";
import type { IommufdContext } from "../iommufd/objects.ts";
import { steps as selftest } from "../iommufd/selftest/all.ts";
import { steps as irqchip } from "../kvm/irqchip.ts";
import { steps as irqfd } from "../kvm/irqfd.ts";
import { steps as kvm, type Vm } from "../kvm/kvm.ts";
import { steps as kvmVfio } from "../kvm/vfio.ts";
import type { Accelerator } from "../mdev/idxd/host.ts";
import { steps as idxd } from "../mdev/idxd/idxd.ts";
import { steps as mdev } from "../mdev/mdev.ts";
import { steps as mdpy } from "../mdev/mdpy.ts";
import { steps as mtty } from "../mdev/mtty.ts";
import type { Mdev, MdevParent } from "../mdev/objects.ts";
import { steps as samples } from "../mdev/sample-device.ts";
import type { PciFunction } from "../pci/function.ts";
import { steps as hotplug, RemovedFunctions } from "../pci/hotplug.ts";
import { steps as sriov } from "../pci/sriov.ts";
import type { Profile } from "../profile.ts";
import type { Call } from "../program.ts";
import type { Topology } from "../topology.ts";
import { type Version, versionNumber } from "../uapi/version.ts";
import { steps as container } from "../vfio/container.ts";
import { steps as deviceCdev } from "../vfio/device-cdev.ts";
import { steps as dmaLogging } from "../vfio/dma-logging.ts";
import { steps as feature } from "../vfio/feature-dispatch.ts";
import { steps as group } from "../vfio/group.ts";
import { steps as vfioIommufd } from "../vfio/iommufd.ts";
import { steps as migration } from "../vfio/migration.ts";
import { steps as migrationV1 } from "../vfio/migration-v1.ts";
import { steps as noiommu } from "../vfio/noiommu.ts";
import { steps as type1 } from "../vfio/type1.ts";
import { steps as vfio } from "../vfio/vfio-main.ts";
import { steps as hisiAcc } from "../vfio-pci/drivers/hisi-acc.ts";
import { steps as migrating } from "../vfio-pci/drivers/migration.ts";
import { steps as mlx5 } from "../vfio-pci/drivers/mlx5.ts";
import { steps as nvgrace } from "../vfio-pci/drivers/nvgrace-gpu.ts";
import { steps as pds } from "../vfio-pci/drivers/pds.ts";
import { steps as qat } from "../vfio-pci/drivers/qat.ts";
import { steps as virtioVfio } from "../vfio-pci/drivers/virtio.ts";
import { steps as hotReset } from "../vfio-pci/hot-reset.ts";
import { steps as igd } from "../vfio-pci/igd.ts";
import { steps as intrs } from "../vfio-pci/intrs.ts";
import { steps as nvlink2 } from "../vfio-pci/nvlink2.ts";
import { steps as vfioPci } from "../vfio-pci/vfio-pci-core.ts";
import { steps as zdev } from "../vfio-pci/zdev.ts";
import { IrqBypass, steps as irqBypass } from "../virt/irqbypass.ts";
import { Memory, steps as shortage } from "./alloc.ts";
import { type Clause, refuse } from "./clause.ts";
import { steps as credentials } from "./credentials.ts";
import { FdTable, type File } from "./file.ts";
import { acquire, acquireForReading, type Lock, type LockOrder, Task } from "./lock.ts";
import { Mm } from "./mm.ts";
import type { Operation } from "./operation.ts";
import { steps as vfs } from "./vfs.ts";

/** Where a value that the kernel may choose comes back to the caller. */
export type ChoiceSite =
  | { readonly at: "return" }
  | { readonly at: "field"; readonly offset: number; readonly width: 4 | 8 };

/**
 * Decides among values that are all right. A generator lets the model take its own; a judge takes what the target was
 * seen to take, provided that it is one of those allowed.
 */
export interface Chooser {
  choose(site: ChoiceSite, own: bigint, allowed: (value: bigint) => boolean): bigint;
  /** Whether the target was seen to refuse the call by a clause. Left out where the model goes on. */
  refuses?(clause: Clause): boolean;
  /**
   * Of a call that asked for an allocation to fail: what became of that on the target. Left out, or undefined, where the
   * model's own allocations are counted.
   */
  failure?(call: Call, file: File | undefined): Failure | undefined;
}

/** Whether an allocation failed, and by which clause that refused the call. */
export interface Failure {
  readonly failed: boolean;
  readonly refusedBy: Clause | null;
}

/** The end of user space on x86-64, and where the model would map. */
const USER_END = 1n << 47n;
const MAPPING = 0x7f00_0000_0000n;
/** From one mapping to the next. */
const APART = 1n << 30n;

/** Takes the model's own choice. */
export const ownChoice: Chooser = { choose: (_site, own) => own };

export class Kernel {
  readonly profile: Profile;
  readonly topology: Topology;
  /** The profile's version as a number, for comparisons on the hot path. */
  readonly version: number;
  readonly order: LockOrder;
  readonly chooser: Chooser;

  readonly fds = new FdTable();
  /** Who runs: the program's own task, one that it has started, or a process that it has made. */
  task = new Task(0, new Mm());
  /** The memory of every process that there has been. */
  readonly mms: Mm[] = [this.task.mm];
  /** Pages that count against RLIMIT_MEMLOCK of the user: locked_vm of struct user_struct, which nothing shows. */
  userLockedPages = 0;
  readonly functions: PciFunction[] = [];
  readonly removed = new RemovedFunctions();
  readonly iommuGroups: IommuGroup[] = [];
  readonly mdevParents: MdevParent[] = [];
  readonly mdevs: Mdev[] = [];
  /** Mediated devices that are being removed: on the bus no more, and not gone yet. */
  readonly leavingMdevs: Mdev[] = [];
  /** The accelerator whose queues idxd hands out; null where there is none. */
  accelerator: Accelerator | null = null;
  /** Every context of /dev/iommu, as long as somebody holds its file. */
  readonly iommufdContexts = new Set<IommufdContext>();
  readonly pciBus = new PciBus();
  /** Devices of the auxiliary bus. */
  readonly auxiliaries: AuxiliaryDevice[] = [];
  /** Whether the mdev bus looks for drivers by itself (drivers/base/bus.c:drivers_autoprobe). */
  readonly mdevBus = { autoprobe: true };
  readonly vms = new Set<Vm>();
  /** Interrupts of devices and VMs that may be connected. */
  readonly bypass = new IrqBypass();
  /** Clauses about effects that the call in flight was seen to have. */
  readonly kept: Clause[] = [];
  readonly memory = new Memory();
  /** Mappings made so far. */
  #mappings = 0;
  /** Whether the machine is up: what was there before stands in every program. */
  up = false;
  /** TAINT_USER: user space has asked for what makes the kernel unsupportable. It never goes away. */
  tainted = false;
  /** Takes back what a call has done so far, where that turns out to be one that the model can't tell. */
  readonly undo: (() => void)[] = [];
  /** Files whose last reference went while locks were held; released when the call is over (fs/file_table.c:fput). */
  readonly deferred: File[] = [];

  // The steps. Faults and deviations put others in their place.
  shortage = shortage;
  vfs = vfs;
  credentials = credentials;
  driverCore = driverCore;
  iommu = iommu;
  sriov = sriov;
  hotplug = hotplug;
  container = container;
  type1 = type1;
  noiommu = noiommu;
  group = group;
  deviceCdev = deviceCdev;
  vfio = vfio;
  vfioIommufd = vfioIommufd;
  vfioPci = vfioPci;
  hotReset = hotReset;
  intrs = intrs;
  migrating = migrating;
  mlx5 = mlx5;
  hisiAcc = hisiAcc;
  pds = pds;
  virtioVfio = virtioVfio;
  nvgrace = nvgrace;
  qat = qat;
  igd = igd;
  nvlink2 = nvlink2;
  migrationV1 = migrationV1;
  zdev = zdev;
  iommufd = iommufd;
  ioas = ioas;
  iommufdDevice = iommufdDevice;
  selftest = selftest;
  feature = feature;
  migration = migration;
  dmaLogging = dmaLogging;
  samples = samples;
  mtty = mtty;
  mdpy = mdpy;
  idxd = idxd;
  mdev = mdev;
  kvm = kvm;
  kvmVfio = kvmVfio;
  irqchip = irqchip;
  irqfd = irqfd;
  irqBypass = irqBypass;

  /** current->mm */
  get mm(): Mm {
    return this.task.mm;
  }

  constructor(topology: Topology, profile: Profile, order: LockOrder, chooser: Chooser) {
    this.topology = topology;
    this.profile = profile;
    this.version = versionNumber(profile.version);
    this.order = order;
    this.chooser = chooser;
  }

  /** Whether this kernel is of that version or newer. */
  since(version: Version): boolean {
    return this.version >= versionNumber(version);
  }

  has(option: string): boolean {
    return this.profile.kconfig.has(option);
  }

  /** Takes a lock; drop it with `using`. */
  lock(lock: Lock): Operation<Lock> {
    return acquire(this.task, this.order, lock);
  }

  /** Takes a lock for reading; drop it with `using`. */
  lockForReading(lock: Lock): Operation<Disposable> {
    return acquireForReading(this.task, this.order, lock);
  }

  /** Takes memory that may not be there: here the call is refused where it was asked to fail. Nothing may be half done. */
  alloc(): void {
    this.memory.take();
  }

  /** Notes that the call keeps a clause about an effect. */
  keeps(clause: Clause): void {
    this.kept.push(clause);
  }

  /** A value that the kernel may choose; see Chooser. */
  choose(site: ChoiceSite, own: bigint, allowed: (value: bigint) => boolean): bigint {
    return this.chooser.choose(site, own, allowed);
  }

  /** Where a kernel may refuse by a clause, or may not, and nobody can see by what it decides. */
  mayRefuse(clause: Clause): void {
    if (this.chooser.refuses?.(clause)) refuse(clause);
  }

  /** Gives a new file the lowest free descriptor (fs/file.c:alloc_fd). */
  installFd(site: ChoiceSite, file: File): number {
    const fd = this.chooseFd(site);
    this.fds.install(fd, file);
    return fd;
  }

  /** The descriptor that the next file gets; nothing has it yet. */
  chooseFd(site: ChoiceSite): number {
    const own = this.fds.lowestFree();
    if (this.chooser === ownChoice) return own;
    const free = (value: bigint): boolean => value >= 0n && value < 65536n && !this.fds.get(Number(value));
    return Number(this.choose(site, BigInt(own), free));
  }

  /** Where mmap(2) puts a mapping: at any page of user space. */
  chooseAddress(): number {
    const fits = (value: bigint): boolean => value > 0n && value < USER_END && (value & 0xfffn) === 0n;
    return Number(this.choose({ at: "return" }, MAPPING + BigInt(this.#mappings++) * APART, fits));
  }

  /** fput: drops a reference; the release runs when the call is over, with no lock held. */
  putFile(file: File): void {
    file.refs--;
    if (file.refs === 0) this.deferred.push(file);
  }
}
