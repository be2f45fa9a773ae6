/** The driver of Intel's IOMMU, as iommufd sees it. Beside drivers/iommu/intel/iommu.c. */
import { clauses, refuse } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Unmodelled } from "../kernel/operation.ts";
import { writeValue } from "../uapi/layout.ts";
import type { IommuOps } from "./driver.ts";

export const rule = clauses({
  "IOMMU-INTEL-1": {
    rule: "an IOMMU without scalable mode nests no page tables, and takes no data for one",
    errno: "EOPNOTSUPP",
    source: "drivers/iommu/intel/iommu.c:intel_iommu_domain_alloc_paging_flags",
    since: "6.6",
    kconfig: ["IOMMUFD"],
  },
});

const NEST_PARENT = 1;
/** enum iommu_hw_info_type */
const IOMMU_HW_INFO_TYPE_INTEL_VTD = 1;
/** IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17, which every IOMMU is said to have. */
const ERRATA = 1;
/** sizeof(struct iommu_hw_info_vtd): flags, a reserved word, and the two registers. */
const INFO_SIZE = 24;
/** Bit of the extended capability register: devices can be kept from writing past the caches. */
const SNOOP_CONTROL = 1n << 7n;
/** Another one: scalable mode, in which everything about page tables is otherwise. */
const SMTS = 1n << 43n;

/** The capability registers of the machine's IOMMU. */
function registers({ topology: { vtd } }: Kernel): { readonly cap: bigint; readonly ecap: bigint } {
  if (!vtd) throw new Unmodelled("an IOMMU that is none of Intel's");
  if ((vtd.ecap & SMTS) !== 0n) throw new Unmodelled("scalable mode");
  return vtd;
}

export const intelOps: IommuOps = {
  // Neither functions nor root ports of the suite's machines have a page request interface.
  answersFaults: false,

  suits: ({ aperture }, { paging }) => aperture.last === paging.aperture.last,

  enforcesCacheCoherency: ({ topology: { vtd } }) => vtd !== null && (vtd.ecap & SNOOP_CONTROL) !== 0n,

  hwInfo(k) {
    const { cap, ecap } = registers(k);
    const bytes = new Uint8Array(INFO_SIZE);
    const view = new DataView(bytes.buffer);
    writeValue(view, 0, 4, ERRATA);
    writeValue(view, 8, 8, cap);
    writeValue(view, 16, 8, ecap);
    return { type: IOMMU_HW_INFO_TYPE_INTEL_VTD, bytes };
  },

  allocPaging(k, device, flags, data) {
    registers(k);
    if (data !== null || (flags & NEST_PARENT) !== 0) refuse(rule["IOMMU-INTEL-1"]);
    return device;
  },

  viommu: null,

  allocNested() {
    throw new Error("no page table of an IOMMU without scalable mode can be a parent");
  },
};
