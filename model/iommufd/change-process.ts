/** IOMMU_IOAS_CHANGE_PROCESS: what is pinned counts for the caller from now on. Beside drivers/iommu/iommufd/ioas.c. */
import { clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Operation } from "../kernel/operation.ts";
import { field, layout } from "../uapi/layout.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { IommufdFile } from "./file.ts";

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
    // Programs are one process: it is the caller's already.
    k.keeps(rule["IOMMUFD-CHANGEPROCESS-4"]);
    return 0;
  },
});
