/**
 * IOMMU_IOAS_CHANGE_PROCESS of a mapping that counts for a process which has ended: what counted for it can't be taken back, and the
 * caller is told EINVAL, with a warning. It is the caller's all the same, and its pages count for good.
 */

import type { Pages } from "../../model/iommufd/area.ts";
import { rule } from "../../model/iommufd/change-process.ts";
import { refuse } from "../../model/kernel/clause.ts";
import { Unmodelled } from "../../model/kernel/operation.ts";
import type { Deviation } from "./deviation.ts";

export const changeProcessOfGone: Deviation = {
  id: "change-process-of-gone",
  title:
    "IOMMU_IOAS_CHANGE_PROCESS of what counts for a process that has ended warns and tells EINVAL, has moved it all the same, and its pages count for the caller for good",
  clause: "IOMMUFD-CHANGEPROCESS-4",
  since: "6.14",
  source: "drivers/iommu/iommufd/ioas.c:iommufd_ioas_change_process",
  upstream: "searched, none found",
  evidence: "change-process-of-gone",
  log: /WARNING: .*iommufd_ioas_change_process/,
  apply(k, fired) {
    /** Memory whose pages are counted, while the kernel takes none to be. */
    const stray = new WeakSet<Pages>();
    const { moveAll } = k.iommufd;
    const { pinPages, unpinPages } = k.ioas;
    const mustBeFollowed = (pages: Pages): void => {
      if (stray.has(pages)) throw new Unmodelled("counts of memory that was taken over from a process which had ended");
    };
    k.iommufd = {
      ...k.iommufd,
      moveAll(kernel, moved) {
        const lost = [...moved].filter(({ counted, owner }) => counted === "process" && owner.mm.gone);
        moveAll(kernel, moved);
        if (lost.length === 0) return;
        fired();
        for (const pages of lost) if (pages.pinned > 0) stray.add(pages);
        refuse(rule["IOMMUFD-CHANGEPROCESS-3"]);
      },
    };
    k.ioas = {
      ...k.ioas,
      *pinPages(kernel, pages, user) {
        mustBeFollowed(pages);
        yield* pinPages(kernel, pages, user);
      },
      *unpinPages(kernel, pages, user) {
        if (pages.users.length > 1) mustBeFollowed(pages);
        const { pinned } = pages;
        yield* unpinPages(kernel, pages, user);
        if (!stray.delete(pages)) return;
        // As many pages are pinned now as the kernel takes to be counted: none.
        const { mm } = pages.owner;
        mm.pinnedPages += pinned;
        mm.lockedPages += pinned;
      },
    };
  },
};
