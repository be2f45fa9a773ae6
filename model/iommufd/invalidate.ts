/** IOMMU_HWPT_INVALIDATE: what caches hold of a page table that user space manages. Beside drivers/iommu/iommufd/hw_pagetable.c. */
import type { UserRequests } from "../iommu/driver.ts";
import { clauses, must, Refusal, refuse } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { arrayOf, field, fieldOf, layout, writeValue } from "../uapi/layout.ts";
import { versionNumber } from "../uapi/version.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import type { IommufdFile } from "./file.ts";
import type { IommufdContext } from "./objects.ts";

const source = iommufdSource("hw_pagetable", "iommufd_hwpt_invalidate");
const INVALIDATE = { ...IOMMUFD, since: "6.8" } as const;

export const rule = clauses({
  "IOMMUFD-INVALIDATE-1": {
    ...INVALIDATE,
    rule: "the reserved field must be zero",
    errno: "EOPNOTSUPP",
    source,
  },
  "IOMMUFD-INVALIDATE-2": {
    ...INVALIDATE,
    rule: "where there are requests, they are somewhere and have a length",
    errno: "EINVAL",
    source,
  },
  "IOMMUFD-INVALIDATE-3": {
    ...INVALIDATE,
    rule: "a request is no longer than a page, and there are 2^19 at the most",
    errno: "EINVAL",
    source,
    since: "7.2",
  },
  "IOMMUFD-INVALIDATE-4": {
    ...INVALIDATE,
    rule: "hwpt_id must be the id of a nested page table",
    errno: "ENOENT",
    source,
    until: "6.12",
  },
  "IOMMUFD-INVALIDATE-5": {
    ...INVALIDATE,
    rule: "hwpt_id must be the id of an object",
    errno: "ENOENT",
    source,
    since: "6.13",
  },
  "IOMMUFD-INVALIDATE-6": {
    ...INVALIDATE,
    rule: "hwpt_id must be the id of a nested page table or a virtual IOMMU",
    errno: "EINVAL",
    source,
    since: "6.13",
  },
  "IOMMUFD-INVALIDATE-7": {
    ...INVALIDATE,
    rule: "the struct must be writable; requests may have been carried out",
    errno: "EFAULT",
    partial: true,
    source,
  },
  "IOMMUFD-INVALIDATE-8": {
    ...INVALIDATE,
    rule: "entry_num brings how many requests were carried out, also where one was refused",
    source: "include/uapi/linux/iommufd.h:iommu_hwpt_invalidate",
    observable: "output",
  },
});

/** Since when the kernel bounds what one call can ask for. */
const BOUNDED_SINCE = versionNumber("7.2");
const MAX_LENGTH = 4096;
const MAX_COUNT = 2 ** 19;
/** As many as programs have room for. */
const ROOM = 3;

/** struct iommu_hwpt_invalidate_selftest */
const Request = layout("iommu_hwpt_invalidate_selftest", {
  flags: field.flags({ IOMMU_TEST_INVALIDATE_FLAG_ALL: 1 }, 0, 0, 0, 1),
  iotlb_id: field.value32(0, 1, 2, 3, 4),
});

const HwptInvalidate = layout("iommu_hwpt_invalidate", {
  size: field.argsz(),
  hwpt_id: field.id("hwpt", "viommu"),
  data_uptr: field.pointer(arrayOf(Request, ROOM)),
  data_type: field.value32(0xdead_beef, 0xdead_beef, 0, 0x0dad_beef),
  entry_len: field.value32(8, 8, 8, 12, 4, 0, MAX_LENGTH + 1),
  entry_num: field.value32(1, 2, ROOM, 0, MAX_COUNT + 1),
  __reserved: field.reserved32(),
});

const ENTRY_NUM = fieldOf(HwptInvalidate, "entry_num").offset;

export const hwptInvalidate = ioctl<IommufdFile>({
  name: "IOMMU_HWPT_INVALIDATE",
  request: vfioRequest(0x8d),
  argument: { kind: "struct", layout: HwptInvalidate },
  on: ["iommufd"],
  since: "6.8",
  weight: 0.1,
  useful: (_k, { context }) => context.some("nested"),
  *run(k, { context }, { block, at }): Operation<number> {
    const requests: UserRequests = {
      type: block.u32(16),
      entryLength: block.u32(20),
      count: block.u32(ENTRY_NUM),
      block: at(block.u64(8)),
    };
    let handled = 0;
    let refused: Refusal | null = null;
    try {
      must(block.u32(28) === 0, rule["IOMMUFD-INVALIDATE-1"]);
      k.iommufdDevice.checkRequests(k, requests, block.u64(8));
      k.iommufdDevice.invalidate(k, context, block.u32(4), requests, () => {
        handled++;
      });
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      refused = thrown;
    }
    const answer = block.bytes.slice(0, HwptInvalidate.size);
    writeValue(new DataView(answer.buffer), ENTRY_NUM, 4, handled);
    block.copyTo(answer, 0, HwptInvalidate.size, rule["IOMMUFD-INVALIDATE-7"]);
    k.keeps(rule["IOMMUFD-INVALIDATE-8"]);
    if (refused) throw refused;
    return 0;
  },
});

export const steps = {
  /** What iommufd_hwpt_invalidate checks of the array, before it looks whose it is. */
  checkRequests({ version }: Kernel, { count, entryLength }: UserRequests, address: bigint): void {
    if (count === 0) return;
    must(address !== 0n && entryLength !== 0, rule["IOMMUFD-INVALIDATE-2"]);
    if (version < BOUNDED_SINCE) return;
    must(entryLength <= MAX_LENGTH && count <= MAX_COUNT, rule["IOMMUFD-INVALIDATE-3"]);
  },

  /** Has the driver carry the requests out, one after the other. */
  invalidate(k: Kernel, context: IommufdContext, id: number, requests: UserRequests, handled: () => void): void {
    const object = context.get(id);
    if (k.since("6.13")) must(object !== undefined, rule["IOMMUFD-INVALIDATE-5"]);
    const cached = object?.kind === "nested" ? object.table : object?.kind === "viommu" ? object.own : null;
    if (!cached) {
      refuse(rule[k.since("6.13") ? "IOMMUFD-INVALIDATE-6" : "IOMMUFD-INVALIDATE-4"]);
    }
    requests.block.know(requests.count * requests.entryLength);
    cached.invalidate(requests, handled);
  },
};
