/** IOMMU_OPTION: whose limit pinned memory counts against, and whether large pages are used. Beside drivers/iommu/iommufd/ioas.c. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { field, fieldOf, layout } from "../uapi/layout.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { IommufdFile } from "./file.ts";
import type { Ioas, IommufdContext } from "./objects.ts";

const source = (name: string) => iommufdSource("ioas", name);

export const rule = clauses({
  "IOMMUFD-OPTION-1": {
    ...IOMMUFD,
    rule: "the reserved field must be zero",
    errno: "EOPNOTSUPP",
    source: iommufdSource("main", "iommufd_option"),
  },
  "IOMMUFD-OPTION-2": {
    ...IOMMUFD,
    rule: "an unknown option is refused",
    errno: "EOPNOTSUPP",
    source: iommufdSource("main", "iommufd_option"),
  },
  "IOMMUFD-OPTION-3": {
    ...IOMMUFD,
    rule: "an unknown operation is refused",
    errno: "EOPNOTSUPP",
    source: source("iommufd_option_rlimit_mode"),
  },
  "IOMMUFD-OPTION-4": {
    ...IOMMUFD,
    rule: "the struct must be writable, to set an option as well; where it is not, the option stays as it was",
    errno: "EFAULT",
    source: iommufdSource("main", "iommufd_option"),
  },
  "IOMMUFD-OPTION-5": {
    ...IOMMUFD,
    rule: "IOMMU_OPTION_OP_GET brings the option's value",
    source: "include/uapi/linux/iommufd.h:iommu_option",
    observable: "output",
  },
  "IOMMUFD-RLIMIT-1": {
    ...IOMMUFD,
    rule: "IOMMU_OPTION_RLIMIT_MODE is of the whole context: object_id must be zero",
    errno: "EOPNOTSUPP",
    source: "include/uapi/linux/iommufd.h:iommufd_option",
  },
  "IOMMUFD-RLIMIT-2": {
    ...IOMMUFD,
    rule: "only a caller with CAP_SYS_RESOURCE may set IOMMU_OPTION_RLIMIT_MODE",
    errno: "EPERM",
    source: "include/uapi/linux/iommufd.h:iommufd_option",
  },
  "IOMMUFD-RLIMIT-3": {
    ...IOMMUFD,
    rule: "IOMMU_OPTION_RLIMIT_MODE can be set only while the context has no object",
    errno: "EBUSY",
    source: source("iommufd_option_rlimit_mode"),
  },
  "IOMMUFD-RLIMIT-4": {
    ...IOMMUFD,
    rule: "IOMMU_OPTION_RLIMIT_MODE is 0 or 1",
    errno: "EINVAL",
    source: source("iommufd_option_rlimit_mode"),
  },
  "IOMMUFD-RLIMIT-5": {
    ...IOMMUFD,
    rule: "with IOMMU_OPTION_RLIMIT_MODE 1, memory that is mapped counts for the process, with 0 for the user",
    source: "include/uapi/linux/iommufd.h:iommufd_option",
    observable: "sysfs",
  },
  "IOMMUFD-HUGE-1": {
    ...IOMMUFD,
    rule: "IOMMU_OPTION_HUGE_PAGES is of an IOAS: object_id must be its id",
    errno: "ENOENT",
    source: "include/uapi/linux/iommufd.h:iommufd_option",
  },
  "IOMMUFD-HUGE-2": {
    ...IOMMUFD,
    rule: "IOMMU_OPTION_HUGE_PAGES is 0 or 1",
    errno: "EINVAL",
    source: source("iommufd_ioas_option_huge_pages"),
  },
  "IOMMUFD-HUGE-3": {
    ...IOMMUFD,
    rule: "without large pages all mappings of an IOAS must be of whole pages; with them again, only where something that uses it needs that",
    source: iommufdSource("io_pagetable", "iopt_calculate_iova_alignment"),
    observable: "output",
  },
});

const RLIMIT_MODE = 0;
const HUGE_PAGES = 1;
const SET = 0;
const GET = 1;

const Option = layout("iommu_option", {
  size: field.argsz(),
  option_id: field.value32(HUGE_PAGES, RLIMIT_MODE, RLIMIT_MODE),
  op: field.value16(SET, GET, GET),
  __reserved: field.reserved16(),
  object_id: field.idOrNone("ioas"),
  val64: field.value64(0, 1),
});

const VALUE = fieldOf(Option, "val64").offset;

export const option = ioctl<IommufdFile>({
  name: "IOMMU_OPTION",
  request: vfioRequest(0x87),
  argument: { kind: "struct", layout: Option },
  on: ["iommufd"],
  since: "6.2",
  *run(k, { context }, { block }): Operation<number> {
    must(block.number(10, 2) === 0, rule["IOMMUFD-OPTION-1"]);
    switch (block.u32(4)) {
      case RLIMIT_MODE:
        must(block.u32(12) === 0, rule["IOMMUFD-RLIMIT-1"]);
        k.iommufd.rlimitMode(k, context, block);
        return 0;
      case HUGE_PAGES: {
        using ioas = k.ioas.get(context, block.u32(12), rule["IOMMUFD-HUGE-1"]);
        yield* k.iommufd.hugePages(k, ioas, block);
        return 0;
      }
      default:
        return refuse(rule["IOMMUFD-OPTION-2"]);
    }
  },
});

const operation = (block: UserBlock): number => block.number(8, 2);

export const steps = {
  /** iommufd_option_rlimit_mode */
  rlimitMode(k: Kernel, context: IommufdContext, block: UserBlock): void {
    if (operation(block) === GET) {
      k.iommufd.tellOption(k, block, context.accounting === "process");
      return;
    }
    must(operation(block) === SET, rule["IOMMUFD-OPTION-3"]);
    must(k.task.credentials.has("CAP_SYS_RESOURCE"), rule["IOMMUFD-RLIMIT-2"]);
    must(context.objects.size === 0, rule["IOMMUFD-RLIMIT-3"]);
    const mode = block.u64(VALUE);
    must(mode === 0n || mode === 1n, rule["IOMMUFD-RLIMIT-4"]);
    must(k.ioas.canAnswer(block, Option.size), rule["IOMMUFD-OPTION-4"]);
    context.accounting = mode === 1n ? "process" : "user";
    k.keeps(rule["IOMMUFD-RLIMIT-5"]);
    block.put(VALUE, 8, mode, rule["IOMMUFD-OPTION-4"]);
  },

  /** iommufd_ioas_option_huge_pages */
  *hugePages(k: Kernel, ioas: Ioas, block: UserBlock): Operation<void> {
    const before = !ioas.disableLargePages;
    if (operation(block) === GET) {
      k.iommufd.tellOption(k, block, before);
      return;
    }
    must(operation(block) === SET, rule["IOMMUFD-OPTION-3"]);
    const value = block.u64(VALUE);
    must(value === 0n || value === 1n, rule["IOMMUFD-HUGE-2"]);
    yield* k.ioas.setLargePages(k, ioas, value === 1n);
    if (!k.ioas.canAnswer(block, Option.size)) {
      yield* k.ioas.setLargePages(k, ioas, before);
      refuse(rule["IOMMUFD-OPTION-4"]);
    }
    k.keeps(rule["IOMMUFD-HUGE-3"]);
    block.put(VALUE, 8, value, rule["IOMMUFD-OPTION-4"]);
  },

  /** Brings an option's value. */
  tellOption(k: Kernel, block: UserBlock, value: boolean): void {
    block.put(VALUE, 8, value ? 1 : 0, rule["IOMMUFD-OPTION-4"]);
    k.keeps(rule["IOMMUFD-OPTION-5"]);
  },
};
