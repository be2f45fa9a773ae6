/** What an iommufd answers to the commands of a VFIO container, and IOMMU_VFIO_IOAS. Beside drivers/iommu/iommufd/vfio_compat.c. */
import { type Clause, clauses, must, refuse } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { type FieldSpec, field, layout } from "../uapi/layout.ts";
import { EXTENSION } from "../vfio/type1.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { IommufdFile } from "./file.ts";
import { Ioas, type IommufdContext } from "./objects.ts";
import { steps as dma } from "./vfio-compat-dma.ts";
import { steps as info } from "./vfio-compat-info.ts";

const source = (name: string) => iommufdSource("vfio_compat", name);

const NOIOMMU = { since: "6.3", kconfig: ["IOMMUFD", "VFIO_NOIOMMU"], machine: "noiommu" } as const;

export const rule = clauses({
  "IOMMUFD-COMPAT-1": {
    ...IOMMUFD,
    rule: "an iommufd reports what its compatibility can do, and 0 for every extension that it does not know",
    source: source("iommufd_vfio_check_extension"),
  },
  "IOMMUFD-COMPAT-2": {
    ...IOMMUFD,
    rule: "whether DMA is coherent can't be told without a compatibility IOAS",
    errno: "ENODEV",
    source: source("iommufd_vfio_cc_iommu"),
  },
  "IOMMUFD-COMPAT-3": {
    ...IOMMUFD,
    rule: "only VFIO_TYPE1_IOMMU and VFIO_TYPE1v2_IOMMU can be chosen",
    errno: "EINVAL",
    source: source("iommufd_vfio_set_iommu"),
  },
  "IOMMUFD-COMPAT-4": {
    ...IOMMUFD,
    rule: "an IOMMU can only be chosen where there is a compatibility IOAS",
    errno: "ENODEV",
    source: source("iommufd_vfio_set_iommu"),
  },
  "IOMMUFD-COMPAT-5": {
    ...IOMMUFD,
    rule: "choosing an IOMMU may be repeated, and changes nothing but the size of pages",
    source: source("iommufd_vfio_set_iommu"),
  },
  "IOMMUFD-COMPAT-6": {
    ...NOIOMMU,
    rule: "an iommufd that a group without IOMMU has joined takes VFIO_NOIOMMU_IOMMU only",
    errno: "EINVAL",
    source: source("iommufd_vfio_set_iommu"),
  },
  "IOMMUFD-COMPAT-7": {
    ...NOIOMMU,
    rule: "choosing VFIO_NOIOMMU_IOMMU may be repeated, and changes nothing",
    source: source("iommufd_vfio_set_iommu"),
  },
  "IOMMUFD-COMPAT-8": {
    ...NOIOMMU,
    rule: "an iommufd that a group without IOMMU has joined takes no other, not even when that one is gone",
    errno: "EINVAL",
    source: source("iommufd_vfio_compat_ioas_create"),
  },
  "IOMMUFD-COMPAT-9": {
    ...NOIOMMU,
    rule: "an iommufd with a compatibility IOAS takes no group without IOMMU",
    errno: "EINVAL",
    source: source("iommufd_vfio_compat_set_no_iommu"),
  },
  "IOMMUFD-COMPAT-10": {
    ...NOIOMMU,
    rule: "a group without IOMMU brings no compatibility IOAS, and VFIO's types are no extensions any more",
    source: source("iommufd_vfio_check_extension"),
    observable: "later-call",
  },
  "IOMMUFD-COMPAT-11": {
    ...NOIOMMU,
    rule: "only a caller with CAP_SYS_RAWIO may choose VFIO_NOIOMMU_IOMMU",
    errno: "EPERM",
    source: source("iommufd_vfio_set_iommu"),
  },
  "IOMMUFD-COMPAT-12": {
    ...IOMMUFD,
    rule: "dirty pages are none of the compatibility's: they are to be had of an hwpt",
    errno: "ENOTTY",
    source: source("iommufd_vfio_ioctl"),
  },
  "IOMMUFD-VFIOIOAS-1": {
    ...IOMMUFD,
    rule: "the reserved field must be zero",
    errno: "EOPNOTSUPP",
    source: source("iommufd_vfio_ioas"),
  },
  "IOMMUFD-VFIOIOAS-2": {
    ...IOMMUFD,
    rule: "there is no compatibility IOAS to get",
    errno: "ENODEV",
    source: source("iommufd_vfio_ioas"),
  },
  "IOMMUFD-VFIOIOAS-3": {
    ...IOMMUFD,
    rule: "the struct must be writable to get the compatibility IOAS",
    errno: "EFAULT",
    source: source("iommufd_vfio_ioas"),
  },
  "IOMMUFD-VFIOIOAS-4": {
    ...IOMMUFD,
    rule: "ioas_id must be the id of an IOAS to set it",
    errno: "ENOENT",
    source: source("iommufd_vfio_ioas"),
  },
  "IOMMUFD-VFIOIOAS-5": {
    ...IOMMUFD,
    rule: "an unknown operation is refused",
    errno: "EOPNOTSUPP",
    source: source("iommufd_vfio_ioas"),
  },
  "IOMMUFD-VFIOIOAS-6": {
    ...IOMMUFD,
    rule: "ioas_id brings the compatibility IOAS",
    source: "include/uapi/linux/iommufd.h:iommu_vfio_ioas",
    observable: "output",
  },
  "IOMMUFD-VFIOIOAS-7": {
    ...IOMMUFD,
    rule: "setting and clearing change which IOAS VFIO's commands act on, and no IOAS itself",
    source: "include/uapi/linux/iommufd.h:iommu_vfio_ioas",
    observable: "later-call",
  },
});

const OP_GET = 0;
const OP_SET = 1;
const OP_CLEAR = 2;

const op: FieldSpec = { width: 2, meaning: { kind: "value", values: [OP_GET, OP_SET, OP_CLEAR, 3] } };
const reserved16: FieldSpec = { width: 2, meaning: { kind: "reserved" } };

const VfioIoas = layout("iommu_vfio_ioas", {
  size: field.argsz(),
  ioas_id: field.id("ioas"),
  op,
  __reserved: reserved16,
});

export const vfioIoas = ioctl<IommufdFile>({
  name: "IOMMU_VFIO_IOAS",
  request: vfioRequest(0x88),
  argument: { kind: "struct", layout: VfioIoas },
  on: ["iommufd"],
  since: "6.2",
  weight: 0.5,
  useful: (_k, { context }) => context.someIoas(),
  *run(k, { context }, { block }): Operation<number> {
    must(block.get(VfioIoas, "__reserved") === 0, rule["IOMMUFD-VFIOIOAS-1"]);
    switch (block.get(VfioIoas, "op")) {
      case OP_GET: {
        using ioas = k.iommufd.compatIoas(context, rule["IOMMUFD-VFIOIOAS-2"]);
        must(block.canWrite(VfioIoas.size), rule["IOMMUFD-VFIOIOAS-3"]);
        block.put(4, 4, ioas.id, rule["IOMMUFD-VFIOIOAS-3"]);
        k.keeps(rule["IOMMUFD-VFIOIOAS-6"]);
        return 0;
      }
      case OP_SET: {
        using ioas = k.ioas.get(context, block.u32(4), rule["IOMMUFD-VFIOIOAS-4"]);
        context.compatIoas = ioas;
        k.keeps(rule["IOMMUFD-VFIOIOAS-7"]);
        return 0;
      }
      case OP_CLEAR:
        context.compatIoas = null;
        k.keeps(rule["IOMMUFD-VFIOIOAS-7"]);
        return 0;
      default:
        return refuse(rule["IOMMUFD-VFIOIOAS-5"]);
    }
  },
});

export const steps = {
  ...dma,
  ...info,

  /** get_compat_ioas: held for the call in flight; drop it with `using`. */
  compatIoas({ compatIoas }: IommufdContext, refusedBy: Clause): Ioas {
    must(compatIoas !== null, refusedBy);
    return compatIoas.hold();
  },

  /** iommufd_vfio_compat_ioas_create: a group joins, so there must be an IOAS for VFIO's commands. */
  *compatIoasCreate(k: Kernel, context: IommufdContext): Operation<void> {
    must(!context.noIommuMode, rule["IOMMUFD-COMPAT-8"]);
    if (context.compatIoas) return;
    k.alloc();
    const ioas = new Ioas(context);
    context.publish(ioas, k.iommufd.chooseId(k, context, null));
    context.compatIoas = ioas;
  },

  /** iommufd_vfio_compat_set_no_iommu: a group without IOMMU joins. */
  setNoIommu(k: Kernel, context: IommufdContext): void {
    must(context.compatIoas === null, rule["IOMMUFD-COMPAT-9"]);
    context.noIommuMode = true;
    k.keeps(rule["IOMMUFD-COMPAT-10"]);
  },

  /** iommufd_vfio_check_extension */
  *checkExtension(k: Kernel, context: IommufdContext, extension: number): Operation<number> {
    switch (extension) {
      case EXTENSION.TYPE1:
      case EXTENSION.TYPE1v2:
      case EXTENSION.UNMAP_ALL:
        k.keeps(rule["IOMMUFD-COMPAT-1"]);
        return context.noIommuMode ? 0 : 1;
      case EXTENSION.NOIOMMU:
        k.keeps(rule["IOMMUFD-COMPAT-1"]);
        return k.has("VFIO_NOIOMMU") ? 1 : 0;
      case EXTENSION.DMA_CC:
        return yield* k.iommufd.enforcesCoherency(k, context);
      default:
        k.keeps(rule["IOMMUFD-COMPAT-1"]);
        return 0;
    }
  },

  /** iommufd_vfio_cc_iommu: with an hwpt it is the IOMMU that decides, and either answer is right. */
  *enforcesCoherency(k: Kernel, context: IommufdContext): Operation<number> {
    using ioas = k.iommufd.compatIoas(context, rule["IOMMUFD-COMPAT-2"]);
    using _ = yield* k.lock(ioas.mutex);
    if (ioas.hwpts.length === 0) return 1;
    return Number(k.choose({ at: "return" }, 0n, (value) => value === 0n || value === 1n));
  },

  /** iommufd_vfio_set_iommu */
  *setIommu(k: Kernel, context: IommufdContext, type: number): Operation<void> {
    if (context.noIommuMode) {
      must(type === EXTENSION.NOIOMMU, rule["IOMMUFD-COMPAT-6"]);
      must(k.noiommu.permitted(k), rule["IOMMUFD-COMPAT-11"]);
      k.keeps(rule["IOMMUFD-COMPAT-7"]);
      return;
    }
    must(type === EXTENSION.TYPE1 || type === EXTENSION.TYPE1v2, rule["IOMMUFD-COMPAT-3"]);
    using ioas = k.iommufd.compatIoas(context, rule["IOMMUFD-COMPAT-4"]);
    if (type === EXTENSION.TYPE1) yield* k.ioas.setLargePages(k, ioas, false);
    k.keeps(rule["IOMMUFD-COMPAT-5"]);
  },
};
