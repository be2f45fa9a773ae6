/** IOMMU_IOAS_CHANGE_PROCESS: what is pinned counts for the caller from now on. Beside drivers/iommu/iommufd/ioas.c. */
import { clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { field, layout } from "../uapi/layout.ts";
import type { Pages } from "./area.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { IommufdFile } from "./file.ts";
import type { IommufdContext } from "./objects.ts";

const SINCE = { ...IOMMUFD, since: "6.14" } as const;
const HEADER = "include/uapi/linux/iommufd.h:iommu_ioas_change_process";

export const rule = clauses({
  "IOMMUFD-CHANGEPROCESS-1": {
    ...SINCE,
    rule: "the reserved field must be zero",
    errno: "EOPNOTSUPP",
    source: iommufdSource("ioas", "iommufd_ioas_change_process"),
  },
  "IOMMUFD-CHANGEPROCESS-2": {
    ...SINCE,
    rule: "no IOAS may have a mapping that another task is making or removing",
    errno: "EBUSY",
    source: iommufdSource("ioas", "iommufd_ioas_change_process"),
    unseen: "programs have one task",
  },
  "IOMMUFD-CHANGEPROCESS-3": {
    ...SINCE,
    rule: "all that is mapped in any IOAS of the context must be of memfds",
    errno: "EINVAL",
    source: HEADER,
  },
  "IOMMUFD-CHANGEPROCESS-5": {
    ...SINCE,
    rule: "what comes to count for the caller must stay within its limit on locked memory, and be counted twice for a moment",
    errno: "ENOMEM",
    source: iommufdSource("ioas", "charge_current"),
  },
  "IOMMUFD-CHANGEPROCESS-4": {
    ...SINCE,
    rule: "what is pinned counts for the caller, once, as it did for whoever mapped it",
    source: HEADER,
    observable: "sysfs",
  },
});

const ChangeProcess = layout("iommu_ioas_change_process", {
  size: field.argsz(),
  __reserved: field.reserved32(),
});

export const ioasChangeProcess = ioctl<IommufdFile>({
  name: "IOMMU_IOAS_CHANGE_PROCESS",
  request: vfioRequest(0x92),
  argument: { kind: "struct", layout: ChangeProcess },
  on: ["iommufd"],
  since: "6.14",
  weight: 0.5,
  useful: (_k, { context }) => context.some("ioas"),
  *run(k, { context }, { block }): Operation<number> {
    must(block.u32(4) === 0, rule["IOMMUFD-CHANGEPROCESS-1"]);
    using _ = yield* k.lock(context.ioasCreationLock);
    for (const object of context.objects.values()) {
      if (object.kind !== "ioas") continue;
      // A kernel holds these of all IOASes at once, in the order of their ids.
      using _iova = yield* k.lock(object.pagetable.iovaRwsem);
      k.alloc();
      for (const { ready, pages } of object.pagetable.areas) {
        must(ready, rule["IOMMUFD-CHANGEPROCESS-2"]);
        must(pages.file !== null && !pages.buffer, rule["IOMMUFD-CHANGEPROCESS-3"]);
      }
    }
    const moved = k.iommufd.countedElsewhere(k, context);
    k.iommufd.chargeCaller(k, moved);
    k.iommufd.moveAll(k, moved);
    k.keeps(rule["IOMMUFD-CHANGEPROCESS-4"]);
    return 0;
  },
});

export const steps = {
  /** need_charge_update: what is mapped in a context and counts for another process. Copies of a mapping are one of them. */
  countedElsewhere({ mm }: Kernel, { objects }: IommufdContext): ReadonlySet<Pages> {
    const found = new Set<Pages>();
    for (const object of objects.values()) {
      if (object.kind !== "ioas") continue;
      for (const { pages } of object.pagetable.areas) if (pages.owner.mm !== mm) found.add(pages);
    }
    return found;
  },

  /** charge_current: the caller must have room for all of it, beside what still counts for the other process. */
  chargeCaller(k: Kernel, moved: ReadonlySet<Pages>): void {
    let ofUser = 0;
    let ofProcess = 0;
    for (const { counted, pinned } of moved) {
      if (counted === "user") ofUser += pinned;
      if (counted === "process") ofProcess += pinned;
    }
    const limit = k.task.credentials.memlockPages;
    must(ofUser === 0 || k.userLockedPages + ofUser <= limit, rule["IOMMUFD-CHANGEPROCESS-5"]);
    must(ofProcess === 0 || k.mm.lockedPages + ofProcess <= limit, rule["IOMMUFD-CHANGEPROCESS-5"]);
  },

  /** The last loop of iommufd_ioas_change_process: what counts for others is the caller's from now on. */
  moveAll(k: Kernel, moved: ReadonlySet<Pages>): void {
    for (const pages of moved) {
      k.iommufd.moveCounts(k, pages);
      pages.owner = k.task;
    }
  },

  /** iopt_pages_update_pinned, of the old process and of the caller's. */
  moveCounts(k: Kernel, { counted, pinned, owner }: Pages): void {
    owner.mm.pinnedPages -= pinned;
    k.mm.pinnedPages += pinned;
    if (counted !== "process") return;
    owner.mm.lockedPages -= pinned;
    k.mm.lockedPages += pinned;
  },
};
