/** The type1 IOMMU backend, as far as groups and extensions go. Beside drivers/vfio/vfio_iommu_type1.c. */

import { clauses, must, refuse } from "../kernel/clause.ts";
import type { Ioctl } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import type { VfioGroup } from "./group.ts";

export const rule = clauses({
  "VFIO-TYPE1-ATTACH-1": {
    rule: "a container of the nesting type takes only groups whose IOMMU can nest",
    errno: "EINVAL",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_attach_group",
    until: "6.12",
  },
});

/** Extension numbers of vfio.h; types are extensions too. */
export const EXTENSION = {
  TYPE1: 1,
  DMA_CC: 4,
  TYPE1v2: 3,
  TYPE1_NESTING: 6,
  NOIOMMU: 8,
  UNMAP_ALL: 9,
  UPDATE_VADDR: 10,
} as const;

const iommuLock = new LockClass("type1 iommu->lock");

/** struct vfio_iommu: one type1 instance. */
export class Type1 {
  readonly type: number;
  readonly groups: VfioGroup[] = [];
  readonly lock = new Lock(iommuLock);
  constructor(type: number) {
    this.type = type;
  }
}

/** Requests that an instance answers and that this model does not have yet: GET_INFO, MAP_DMA, UNMAP_DMA, DIRTY_PAGES. */
const ANSWERED = new Set([112, 113, 114, 117]);

export const steps = {
  /** vfio_iommu_type1_open */
  open(type: number): Type1 {
    return new Type1(type);
  },

  /** vfio_iommu_type1_check_extension; `iommu` is null while no backend is chosen. */
  *checkExtension(k: Kernel, iommu: Type1 | null, extension: number): Operation<number> {
    switch (extension) {
      case EXTENSION.TYPE1:
      case EXTENSION.TYPE1v2:
      case EXTENSION.UNMAP_ALL:
        return 1;
      case EXTENSION.TYPE1_NESTING:
        return k.since("6.13") ? 0 : 1;
      case EXTENSION.UPDATE_VADDR: {
        if (!iommu) return 0;
        // No mapping may change its address while an emulated device could be using it.
        using _ = yield* k.lock(iommu.lock);
        return iommu.groups.some((group) => group.type === "emulated") ? 0 : 1;
      }
      case EXTENSION.DMA_CC: {
        if (!iommu) return 0;
        using _ = yield* k.lock(iommu.lock);
        if (iommu.groups.every((group) => group.type === "emulated")) return 1;
        // Whether the IOMMU can enforce coherency is the hardware's to say.
        return Number(k.choose({ at: "return" }, 1n, (answer) => answer === 0n || answer === 1n));
      }
      default:
        return 0;
    }
  },

  /** vfio_iommu_type1_attach_group */
  *attachGroup(k: Kernel, iommu: Type1, group: VfioGroup): Operation<void> {
    using _ = yield* k.lock(iommu.lock);
    if (group.type === "iommu") {
      using _group = yield* k.lock(group.requireIommuGroup().mutex);
      must(iommu.type !== EXTENSION.TYPE1_NESTING || k.topology.nesting, rule["VFIO-TYPE1-ATTACH-1"]);
    }
    iommu.groups.push(group);
  },

  /** vfio_iommu_type1_detach_group */
  *detachGroup(k: Kernel, iommu: Type1, group: VfioGroup): Operation<void> {
    using _ = yield* k.lock(iommu.lock);
    if (group.type === "iommu") {
      using _group = yield* k.lock(group.requireIommuGroup().mutex);
    }
    iommu.groups.splice(iommu.groups.indexOf(group), 1);
  },

  /** vfio_iommu_type1_ioctl */
  ioctl(_k: Kernel, command: Ioctl): never {
    const nr = command.request & 0xff;
    if (command.request >>> 8 === 0x3b && ANSWERED.has(nr)) throw new Unmodelled(`type1 command ${nr}`);
    refuse(vfsRule["VFS-IOCTL-1"]);
  },
};
