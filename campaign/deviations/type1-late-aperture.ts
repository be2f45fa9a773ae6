/**
 * While only emulated groups have been in a container it knows no ranges, and then does not look whether its mappings are
 * within reach of the first IOMMU that comes. That refuses them one by one, with an errno of its driver's. Where groups with
 * an IOMMU have been there and left, the range goes to the end of the address space: before 6.18 it is looked through in vain.
 */
import { Clause, refuse } from "../../model/kernel/clause.ts";
import { runStraight } from "../../model/kernel/operation.ts";
import type { Errno } from "../../model/uapi/errno.ts";
import { U64_MAX } from "../../model/uapi/u64.ts";
import { rule } from "../../model/vfio/type1.ts";
import { apertureEnd, reservedBy } from "../../model/vfio/type1-windows.ts";
import type { Deviation } from "./deviation.ts";

/** What the driver of Intel's IOMMU says, which has shared page tables with others since 7.0. */
const answer = (errno: Errno): Clause =>
  new Clause(
    "type1-late-aperture",
    { rule: "the IOMMU can't map it", errno, source: "drivers/iommu/intel/iommu.c" },
    -1,
  );
const OWN = answer("EFAULT");
const SHARED = answer("ERANGE");

export const type1LateAperture: Deviation = {
  id: "type1-late-aperture",
  title: "a group behind an IOMMU that can't join for a mapping out of its reach gets an errno of the IOMMU's driver",
  clause: "VFIO-TYPE1-ATTACH-3",
  since: "6.1",
  source: "drivers/vfio/vfio_iommu_type1.c:vfio_iommu_aper_conflict",
  upstream: "searched, none found",
  evidence: "type1-late-aperture",
  apply(k, fired) {
    const right = k.type1.checkFits;
    k.type1 = {
      ...k.type1,
      checkFits(iommu, group) {
        const end = apertureEnd(group);
        const looks = iommu.windows !== null && (k.since("6.18") || iommu.windows.at(-1)?.last !== U64_MAX);
        if (looks || !iommu.dmas.all.some(({ last }) => last > end)) return right(iommu, group);
        fired();
        const reserved = reservedBy(group).some(({ start, last }) => iommu.dmas.find(start, last));
        if (reserved) refuse(rule["VFIO-TYPE1-ATTACH-4"]);
        const pinned = [];
        try {
          for (const dma of iommu.dmas.all) {
            runStraight(k.type1.pin(k, dma));
            pinned.push(dma);
            if (dma.last > end) refuse(k.since("7.0") ? SHARED : OWN);
          }
        } finally {
          for (const dma of pinned) runStraight(k.type1.unpin(k, dma));
        }
      },
    };
  },
};
