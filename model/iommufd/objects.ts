/** The objects of an iommufd and the context that holds them. Beside drivers/iommu/iommufd/iommufd_private.h. */
import type { IommuDevice, IommuDriver } from "../iommu/device.ts";
import type { TableShape } from "../iommu/driver.ts";
import type { IommuGroup } from "../iommu/group.ts";
import type { File } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { Operation } from "../kernel/operation.ts";
import type { Accounting, Area, PageRange } from "./area.ts";
import type { DirtyLog } from "./dirty-log.ts";
import type { FaultQueue } from "./fault-queue.ts";
import type { HwQueue } from "./hw-queue.ts";
import type { IommufdGroup } from "./igroup.ts";
import { IoPagetable, PAGE_SIZE, type Range } from "./io-pagetable.ts";
import { MmapOffsets } from "./mmap.ts";
import type { NestedHwpt } from "./nested-hwpt.ts";
import type { Vdevice } from "./vdevice.ts";
import type { VeventQueue } from "./vevent-queue.ts";
import type { Viommu } from "./viommu.ts";

const ioasMutex = new LockClass("ioas->mutex");
const ioasLock = new LockClass("access->ioas_lock");
const ioasCreationLock = new LockClass("ictx->ioas_creation_lock");

/** The largest id: ids fit a signed int. */
export const MAX_ID = 2 ** 31 - 1;

/** struct iommufd_object */
export abstract class Counted implements Disposable {
  readonly context: IommufdContext;
  /** 0 until the object is published. */
  id = 0;
  /** Users: the table of ids is one; an object with others can't be destroyed. */
  users = 1;

  constructor(context: IommufdContext) {
    this.context = context;
  }

  /** iommufd_lock_obj: keeps the object for the call in flight; dropped by `using`. */
  hold(): this {
    this.users++;
    return this;
  }

  /** A number that tells this state of the object from others, for invariants such as "a refused call changes nothing". */
  abstract trace(): number;

  /** iommufd_put_object */
  [Symbol.dispose](): void {
    this.users--;
  }
}

/** An I/O address space. */
export class Ioas extends Counted {
  readonly kind = "ioas";
  readonly pagetable = new IoPagetable();
  /** Its hwpts in the order that they were made. Each is a user of the IOAS. */
  readonly hwpts: Hwpt[] = [];
  /** Set for VFIO_TYPE1_IOMMU, which may unmap a part of a mapping, and by IOMMU_OPTION_HUGE_PAGES. */
  disableLargePages = false;
  readonly mutex = new Lock(ioasMutex);

  /** Emulated devices that are attached to it. Each is a user of the IOAS. */
  get accesses(): Access[] {
    return this.pagetable.accesses;
  }

  override trace(): number {
    return this.pagetable.trace() + this.hwpts.length * 5 + this.accesses.length * 3 + (this.disableLargePages ? 1 : 0);
  }
}

/** A hardware page table that the kernel fills from an IOAS. */
export class Hwpt extends Counted {
  readonly kind = "hwpt";
  readonly ioas: Ioas;
  /** Whose it is. */
  readonly driver: IommuDriver;
  /** Addresses that it can translate. */
  readonly aperture: Range;
  /** Page sizes that it can map, one bit each. */
  readonly pageSizes: bigint;
  /** The smallest of them. */
  readonly pageSize: bigint;
  /** Made by an attach to the IOAS, and gone with the last device. */
  readonly auto: boolean;
  /** Whether page tables of user space can be nested in it. */
  nestParent = false;
  /** Whether PASIDs can be attached to it. */
  forPasids = false;
  /** Whether devices can't write past the caches. */
  enforceCacheCoherency = false;
  /** What was written, where it can tell. */
  dirty: DirtyLog | null = null;
  /** Where page faults of its devices go. */
  fault: FaultQueue | null = null;

  constructor(ioas: Ioas, device: IommuDevice, auto: boolean, { aperture, pageSizes }: TableShape = device) {
    super(ioas.context);
    this.ioas = ioas;
    this.driver = device.iommuDriver;
    this.aperture = aperture;
    this.pageSizes = pageSizes;
    this.pageSize = pageSizes & -pageSizes;
    this.auto = auto;
    ioas.users++;
  }

  /** find_hwpt_paging: the page table that is filled from an IOAS. */
  get paging(): Hwpt {
    return this;
  }

  override trace(): number {
    return this.ioas.id + (this.dirty?.trace() ?? 0) * 31;
  }
}

/** What devices are attached to. */
export type AnyHwpt = Hwpt | NestedHwpt;

/** A physical device that is bound to the context. Its driver is a user, and so is an attachment. */
export class IommufdDevice extends Counted {
  readonly kind = "device";
  readonly device: IommuDevice;
  readonly igroup: IommufdGroup;
  /** What it is to a VM. */
  vdevice: Vdevice | null = null;

  constructor(context: IommufdContext, device: IommuDevice, igroup: IommufdGroup) {
    super(context);
    this.device = device;
    this.igroup = igroup;
    this.users++;
  }

  override trace(): number {
    return this.igroup.trace();
  }
}

/** Pages of a mapping that an access has pinned. */
export interface AccessPin {
  readonly area: Area;
  readonly user: PageRange;
}

/** struct iommufd_access_ops: the driver that an access belongs to. */
export interface AccessDriver {
  /** Called where a range is unmapped: the driver must let go of all that it has pinned there. */
  unmap(k: Kernel, start: bigint, last: bigint): Operation<void>;
  /** Takes what it has pinned in a range off its own list. */
  take(start: bigint, last: bigint): readonly AccessPin[];
}

/** An emulated device that is bound to the context. Its driver is a user. */
export class Access extends Counted {
  readonly kind = "access";
  ioas: Ioas | null = null;
  /** What addresses of its IOAS must be a multiple of. */
  readonly alignment: bigint;
  /** null where the driver pins nothing. */
  driver: AccessDriver | null = null;
  readonly ioasLock = new Lock(ioasLock);

  constructor(context: IommufdContext, alignment: bigint = PAGE_SIZE) {
    super(context);
    this.alignment = alignment;
    this.users++;
  }

  override trace(): number {
    return this.ioas?.id ?? 0;
  }
}

/** struct selftest_obj: a mock device that is bound to the context; it lives as long as the object does. */
export class SelftestObject extends Counted {
  readonly kind = "selftest";
  readonly device: IommufdDevice;

  constructor(device: IommufdDevice) {
    super(device.context);
    this.device = device;
  }

  override trace(): number {
    return this.device.id;
  }
}

export type IommufdObject =
  | Ioas
  | Hwpt
  | NestedHwpt
  | IommufdDevice
  | Access
  | FaultQueue
  | SelftestObject
  | Viommu
  | Vdevice
  | VeventQueue
  | HwQueue;

/** struct iommufd_ctx: what stands behind one open of /dev/iommu. */
export class IommufdContext {
  /** account_mode: /dev/vfio/vfio counts as a container does, until IOMMU_OPTION says otherwise. */
  accounting: Accounting;
  /** The open file. Devices and groups that use the context hold it, so that it outlives its descriptors. */
  readonly file: File;
  /** The IOAS that VFIO's own commands act on. Being it is no use of it. */
  compatIoas: Ioas | null = null;
  /** A group without IOMMU joined: from now on no other kind can. */
  noIommuMode = false;
  readonly groups = new Map<IommuGroup, IommufdGroup>();
  /** Published objects by id. */
  readonly objects = new Map<number, IommufdObject>();
  /** Ids of objects that are being made while others get theirs. */
  readonly reservedIds = new Set<number>();
  readonly ioasCreationLock = new Lock(ioasCreationLock);
  /** What commands offered to be mapped: mt_mmap. */
  readonly mmaps = new MmapOffsets();

  constructor(file: File, accounting: Accounting = "user") {
    this.file = file;
    this.accounting = accounting;
  }

  /** References to the file: descriptors, devices and groups. */
  get refs(): number {
    return this.file.refs;
  }
  set refs(count: number) {
    this.file.refs = count;
  }

  get(id: number): IommufdObject | undefined {
    return this.objects.get(id);
  }

  /** Whether an object has the id, or is to get it. */
  isTaken(id: number): boolean {
    return this.objects.has(id) || this.reservedIds.has(id);
  }

  /** The id that xa_alloc() would give. */
  lowestFreeId(): number {
    let id = 1;
    while (this.isTaken(id)) id++;
    return id;
  }

  /** iommufd_object_finalize: others can find the object from now on. */
  publish(object: IommufdObject, id: number): void {
    object.id = id;
    this.objects.set(id, object);
  }

  remove(object: IommufdObject): void {
    this.objects.delete(object.id);
  }

  /** Whether an object of that kind is there. */
  some(kind: IommufdObject["kind"]): boolean {
    for (const object of this.objects.values()) if (object.kind === kind) return true;
    return false;
  }

  /** Whether an access is there whose driver pins pages, as those of the selftests do. */
  someAccess(): boolean {
    for (const object of this.objects.values()) if (object.kind === "access" && object.driver !== null) return true;
    return false;
  }

  /** Whether an IOAS is there that satisfies the condition. */
  someIoas(condition: (ioas: Ioas) => boolean = () => true): boolean {
    for (const object of this.objects.values()) {
      if (object.kind === "ioas" && condition(object)) return true;
    }
    return false;
  }
}
