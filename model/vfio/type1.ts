/** The type1 IOMMU backend: instances, extensions, and the groups that join and leave. Beside drivers/vfio/vfio_iommu_type1.c. */
import { IommufdFile } from "../iommufd/file.ts";
import { clauses, must, refuse } from "../kernel/clause.ts";
import type { File } from "../kernel/file.ts";
import { type Argument, dispatch, type Ioctl } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Lock, LockClass } from "../kernel/lock.ts";
import type { Operation } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import { U64_MAX } from "../uapi/u64.ts";
import { ContainerFile, type ContainerLike } from "./container.ts";
import { DmaList } from "./dma.ts";
import type { VfioGroup } from "./group.ts";
import { steps as dirty, dirtyPages } from "./type1-dirty.ts";
import { steps as info, iommuGetInfo } from "./type1-info.ts";
import { steps as map, mapDma } from "./type1-map.ts";
import { steps as pin } from "./type1-pin.ts";
import { steps as unmap, unmapDma } from "./type1-unmap.ts";
import { ALL_PAGE_SIZES, apertureEnd, pageSizesOf, reservedBy, type Window, windowsOf } from "./type1-windows.ts";

const attach = "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_attach_group";
const detach = "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_type1_detach_group";

export const rule = clauses({
  "VFIO-TYPE1-ATTACH-1": {
    rule: "a container of the nesting type takes only groups whose IOMMU can nest",
    errno: "EINVAL",
    source: attach,
    until: "6.12",
  },
  "VFIO-TYPE1-ATTACH-2": {
    rule: "no group can join while a mapping has lost its address",
    errno: "EBUSY",
    source: "include/uapi/linux/vfio.h:VFIO_DMA_UNMAP_FLAG_VADDR",
  },
  "VFIO-TYPE1-ATTACH-3": {
    rule: "no group can join while something is mapped outside of what its IOMMU translates",
    errno: "EINVAL",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_aper_conflict",
  },
  "VFIO-TYPE1-ATTACH-4": {
    rule: "no group can join while something is mapped in a range that its devices reserve",
    errno: "EINVAL",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_resv_conflict",
  },
  "VFIO-TYPE1-ATTACH-5": {
    rule: "the first group behind an IOMMU has everything pinned that was mapped before it came, or does not join",
    source: "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_replay",
    observable: "sysfs",
  },
  "VFIO-TYPE1-DETACH-1": {
    rule: "when the last group behind an IOMMU leaves and emulated ones stay, mappings stay, and nothing is pinned",
    source: detach,
    observable: "sysfs",
  },
  "VFIO-TYPE1-DETACH-2": {
    rule: "when the last group leaves, every mapping goes",
    source: detach,
    observable: "sysfs",
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
  readonly dmas = new DmaList();
  /** Where memory may be mapped; null until a group behind an IOMMU has joined: anywhere. */
  windows: readonly Window[] | null = null;
  /** Whether `windows` may still be those of a group that has left: memory was short then (vfio_iommu_resv_refresh). */
  windowsMayBeOld = false;
  /** Page sizes, one bit each. */
  pageSizes = ALL_PAGE_SIZES;
  /** dirty_page_tracking */
  tracking = false;
  readonly lock = new Lock(iommuLock);
  constructor(type: number) {
    this.type = type;
  }

  /** v1 is TYPE1 alone. */
  get v2(): boolean {
    return this.type !== EXTENSION.TYPE1;
  }

  get hasEmulated(): boolean {
    return this.groups.some(({ type }) => type === "emulated");
  }

  /** Whether domain_list has any: whether a group is behind an IOMMU. */
  get hasDomain(): boolean {
    return this.groups.some(({ type }) => type === "iommu");
  }

  get smallestPage(): bigint {
    return this.pageSizes & -this.pageSizes;
  }

  /** What the groups behind an IOMMU together allow. */
  reckon(): void {
    const physical = this.groups.filter(({ type }) => type === "iommu");
    this.windows = windowsOf(physical);
    this.pageSizes = pageSizesOf(physical);
  }
}

const COMMANDS: readonly Ioctl<ContainerLike>[] = [iommuGetInfo, mapDma, unmapDma, dirtyPages];

export const steps = {
  ...pin,
  ...info,
  ...map,
  ...unmap,
  ...dirty,

  /** vfio_iommu_type1_open */
  open(type: number): Type1 {
    return new Type1(type);
  },

  /** Whether a file takes type1's commands: a container with an instance, or an iommufd with an IOAS for them. */
  isSetUp(file: File): boolean {
    if (file instanceof IommufdFile) return file.context.compatIoas !== null;
    return file instanceof ContainerFile && file.container.iommu !== null;
  },

  /** Whether something is mapped where a file's commands would unmap it. */
  hasMappings(file: File): boolean {
    if (file instanceof IommufdFile) return (file.context.compatIoas?.pagetable.areas.length ?? 0) > 0;
    return file instanceof ContainerFile && (file.container.iommu?.dmas.all.length ?? 0) > 0;
  },

  /** The instance of a container that has one. */
  instanceOf(file: File): Type1 {
    const iommu = file instanceof ContainerFile ? file.container.iommu : null;
    if (!iommu) throw new Error("a type1 command got to a file without an instance");
    return iommu;
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
        return iommu.hasEmulated ? 0 : 1;
      }
      case EXTENSION.DMA_CC: {
        if (!iommu) return 0;
        using _ = yield* k.lock(iommu.lock);
        if (!iommu.hasDomain) return 1;
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
    must(!iommu.dmas.all.some(({ vaddrInvalid }) => vaddrInvalid), rule["VFIO-TYPE1-ATTACH-2"]);
    k.alloc();
    if (group.type === "iommu") {
      {
        using _group = yield* k.lock(group.requireIommuGroup().mutex);
        must(iommu.type !== EXTENSION.TYPE1_NESTING || k.topology.nesting, rule["VFIO-TYPE1-ATTACH-1"]);
      }
      k.type1.checkFits(iommu, group);
      yield* k.type1.replay(k, iommu);
    }
    iommu.groups.push(group);
    if (group.type !== "iommu") return;
    k.iommu.attach(group.requireIommuGroup(), iommu);
    iommu.reckon();
  },

  /** vfio_iommu_aper_conflict and vfio_iommu_resv_conflict */
  checkFits(iommu: Type1, group: VfioGroup): void {
    const end = apertureEnd(group);
    if (end < U64_MAX) must(!iommu.dmas.find(end + 1n, U64_MAX), rule["VFIO-TYPE1-ATTACH-3"]);
    for (const { start, last } of reservedBy(group)) {
      must(!iommu.dmas.find(start, last), rule["VFIO-TYPE1-ATTACH-4"]);
    }
  },

  /** vfio_iommu_replay: pins what is not pinned yet, by IOVA, or leaves it as it was. */
  *replay(k: Kernel, iommu: Type1): Operation<void> {
    const fresh = iommu.dmas.all.filter(({ iommuMapped }) => !iommuMapped);
    // Whatever the model does not know is found before anything has changed.
    for (const dma of fresh) k.type1.memoryOf(k, dma).reach(dma.vaddr, dma.pages);
    try {
      for (const dma of fresh) yield* k.type1.pin(k, dma);
    } catch (refusal) {
      for (const dma of fresh) yield* k.type1.unpin(k, dma);
      throw refusal;
    }
    if (fresh.length > 0) k.keeps(rule["VFIO-TYPE1-ATTACH-5"]);
  },

  /** vfio_iommu_type1_detach_group */
  *detachGroup(k: Kernel, iommu: Type1, group: VfioGroup): Operation<void> {
    using _ = yield* k.lock(iommu.lock);
    if (group.type === "iommu") {
      const iommuGroup = group.requireIommuGroup();
      using _group = yield* k.lock(iommuGroup.mutex);
      k.iommu.setCoreDomain(k, iommuGroup);
    }
    iommu.groups.splice(iommu.groups.indexOf(group), 1);
    if (iommu.groups.length === 0) {
      if (iommu.dmas.all.length > 0) k.keeps(rule["VFIO-TYPE1-DETACH-2"]);
      for (const dma of [...iommu.dmas.all]) yield* k.type1.removeDma(k, iommu, dma);
    }
    if (group.type !== "iommu") return;
    if (k.memory.failed) iommu.windowsMayBeOld = true;
    if (!iommu.hasDomain) {
      if (iommu.dmas.all.length > 0) k.keeps(rule["VFIO-TYPE1-DETACH-1"]);
      for (const dma of iommu.dmas.all) yield* k.type1.unpin(k, dma);
    }
    iommu.reckon();
    if (iommu.tracking) k.type1.markAllDirty(iommu);
  },

  /** vfio_iommu_type1_ioctl */
  ioctl(k: Kernel, file: ContainerFile, command: Ioctl, arg: Argument): Operation<number> {
    return dispatch(COMMANDS, k, file, command, arg) ?? refuse(vfsRule["VFS-IOCTL-1"]);
  },
};
