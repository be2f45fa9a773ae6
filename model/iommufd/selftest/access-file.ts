/** The file of an access of the selftests, and what it has pinned. Beside drivers/iommu/iommufd/selftest.c. */
import { refuse } from "../../kernel/clause.ts";
import { File, O_RDWR } from "../../kernel/file.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { Lock, LockClass } from "../../kernel/lock.ts";
import type { Operation } from "../../kernel/operation.ts";
import { rule as vfsRule } from "../../kernel/vfs.ts";
import { U64_MAX } from "../../uapi/u64.ts";
import type { Access, AccessDriver, AccessPin } from "../objects.ts";

const staccessLock = new LockClass("staccess->lock");

/** struct selftest_access_item: what one call has pinned. */
interface Item {
  readonly id: number;
  readonly start: bigint;
  readonly last: bigint;
  readonly pins: readonly AccessPin[];
}

/** struct selftest_access */
export class AccessFile extends File implements AccessDriver {
  readonly kind = "access";
  override readonly positioned = false;
  readonly access: Access;
  /** Whether it can pin pages. */
  readonly pins: boolean;
  readonly items: Item[] = [];
  nextId = 0;
  readonly lock = new Lock(staccessLock);

  constructor(access: Access, pins: boolean) {
    super(O_RDWR);
    this.access = access;
    this.pins = pins;
    access.driver = this;
  }

  /** Notes what was pinned under a number. */
  add(id: number, start: bigint, length: bigint, pins: readonly AccessPin[]): void {
    this.items.push({ id, start, last: start + length - 1n, pins });
    this.nextId = id + 1;
  }

  /** Takes what was pinned under a number off the list; undefined where there is nothing. */
  takeItem(id: number): readonly AccessPin[] | undefined {
    const at = this.items.findIndex((item) => item.id === id);
    return at < 0 ? undefined : this.items.splice(at, 1)[0]?.pins;
  }

  take(start: bigint, last: bigint): readonly AccessPin[] {
    const taken = this.items.filter((item) => item.start <= last && start <= item.last);
    for (const item of taken) this.items.splice(this.items.indexOf(item), 1);
    return taken.flatMap(({ pins }) => pins);
  }

  /** iommufd_test_access_unmap */
  *unmap(k: Kernel, start: bigint, last: bigint): Operation<void> {
    using _ = yield* k.lock(this.lock);
    const pins = this.take(start, last);
    if (pins.length > 0) yield* k.iommufdDevice.unpinAccess(k, this.access, pins);
  }

  override *ioctl(): Operation<number> {
    return refuse(vfsRule["VFS-IOCTL-1"]);
  }

  /** iommufd_test_staccess_release */
  override *release(k: Kernel): Operation<void> {
    yield* this.unmap(k, 0n, U64_MAX);
    yield* k.iommufdDevice.destroyAccess(k, this.access);
  }

  /** A number that tells this state of the access from others. */
  trace(): number {
    return this.items.length * 31 + (this.access.ioas?.id ?? 0);
  }
}
