/** IOMMU_GET_HW_INFO: what the IOMMU in front of a device is and can do. Beside drivers/iommu/iommufd/device.c. */
import { opsOf } from "../iommu/ops.ts";
import { clauses, must } from "../kernel/clause.ts";
import { ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Operation } from "../kernel/operation.ts";
import { field, fieldOf, layout, offsetOfEnd, writeValue } from "../uapi/layout.ts";
import { versionNumber } from "../uapi/version.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { commandView, respondSize } from "./command.ts";
import type { IommufdFile } from "./file.ts";

const source = iommufdSource("device", "iommufd_get_hw_info");
const HEADER = "include/uapi/linux/iommufd.h:iommu_hw_info";
const HW_INFO = { ...IOMMUFD, since: "6.6" } as const;

export const rule = clauses({
  "IOMMUFD-HWINFO-1": {
    ...HW_INFO,
    rule: "unknown flags are refused",
    errno: "EOPNOTSUPP",
    source,
  },
  "IOMMUFD-HWINFO-2": {
    ...HW_INFO,
    rule: "the reserved bytes must be zero",
    errno: "EOPNOTSUPP",
    source: HEADER,
  },
  "IOMMUFD-HWINFO-3": {
    ...HW_INFO,
    rule: "dev_id must be the id of a physical device that is bound",
    errno: "ENOENT",
    source,
  },
  "IOMMUFD-HWINFO-4": {
    ...HW_INFO,
    rule: "with IOMMU_HW_INFO_FLAG_INPUT_TYPE the type must be one that the IOMMU has, or the default",
    errno: "EOPNOTSUPP",
    source: HEADER,
    since: "6.17",
  },
  "IOMMUFD-HWINFO-5": {
    ...HW_INFO,
    rule: "the buffer must be writable for data_len bytes; where it is not, the struct stays as it was",
    errno: "EFAULT",
    source,
  },
  "IOMMUFD-HWINFO-6": {
    ...HW_INFO,
    rule: "the struct must be writable",
    errno: "EFAULT",
    source,
  },
  "IOMMUFD-HWINFO-7": {
    ...HW_INFO,
    rule: "the buffer brings as much of the information as it has room for, and zeros behind it",
    source: HEADER,
    observable: "output",
  },
  "IOMMUFD-HWINFO-8": {
    ...HW_INFO,
    rule: "data_len brings how much information there is, and out_data_type of what type it is, also to a caller without a buffer",
    source: HEADER,
    observable: "output",
  },
  "IOMMUFD-HWINFO-9": {
    ...HW_INFO,
    rule: "out_capabilities says whether the IOMMU tells what was written",
    source: "include/uapi/linux/iommufd.h:iommufd_hw_capabilities",
    since: "6.7",
    observable: "output",
  },
  "IOMMUFD-HWINFO-10": {
    ...HW_INFO,
    rule: "out_capabilities says where a device can't use translations of its own (ATS)",
    source: "include/uapi/linux/iommufd.h:iommufd_hw_capabilities",
    since: "7.1",
    observable: "output",
  },
  "IOMMUFD-HWINFO-11": {
    ...HW_INFO,
    rule: "out_max_pasid_log2 brings the bits of a device's PASIDs, 0 where it has none",
    source: HEADER,
    since: "6.12",
    observable: "output",
  },
});

const INPUT_TYPE = 1;
const CAP_DIRTY_TRACKING = 1n;
const CAP_PCI_ATS_NOT_SUPPORTED = 8n;
/** Since when a caller may ask for a type. */
const INPUT_TYPE_SINCE = versionNumber("6.17");
const ATS_SINCE = versionNumber("7.1");

/** Room for more than any IOMMU tells, and not empty, so that it is seen what is written and what is not. */
const ROOM = 64;
const filled = () => field.value64(0x5a5a_5a5a_5a5a_5a5an, 0);
const HwInfoData = layout("iommu_hw_info_data", {
  data_0: filled(),
  data_1: filled(),
  data_2: filled(),
  data_3: filled(),
  data_4: filled(),
  data_5: filled(),
  data_6: filled(),
  data_7: filled(),
});

const reserved8 = { width: 1, meaning: { kind: "reserved" } } as const;

const HwInfo = layout("iommu_hw_info", {
  size: field.argsz(),
  flags: field.flags({ IOMMU_HW_INFO_FLAG_INPUT_TYPE: INPUT_TYPE }, 0, 0, 0, INPUT_TYPE),
  dev_id: field.id("devid"),
  data_len: field.value32(ROOM, 24, 8, 0, 4, 23, 32),
  data_uptr: field.pointer(HwInfoData),
  in_data_type: field.value32(0, 1, 2, 0xfeed_beef),
  out_max_pasid_log2: { width: 1, meaning: { kind: "out" } },
  __reserved_0: reserved8,
  __reserved_1: reserved8,
  __reserved_2: reserved8,
  out_capabilities: field.later(field.out64()),
});

/** Bytes of the struct that a caller must know. */
export const HW_INFO_MIN_SIZE = offsetOfEnd(HwInfo, "__reserved_2");
const DATA_LEN = fieldOf(HwInfo, "data_len").offset;
const DATA_TYPE = fieldOf(HwInfo, "in_data_type").offset;

export const getHwInfo = ioctl<IommufdFile>({
  name: "IOMMU_GET_HW_INFO",
  request: vfioRequest(0x8a),
  argument: { kind: "struct", layout: HwInfo },
  on: ["iommufd"],
  since: "6.6",
  weight: 0.1,
  useful: (_k, { context }) => context.some("device"),
  *run(k, { context }, { block, at }): Operation<number> {
    const command = commandView(block, HwInfo.size);
    const flags = command.getUint32(4, true);
    must((flags & ~(k.version >= INPUT_TYPE_SINCE ? INPUT_TYPE : 0)) === 0, rule["IOMMUFD-HWINFO-1"]);
    must(command.getUint32(DATA_TYPE + 4, true) >>> 8 === 0, rule["IOMMUFD-HWINFO-2"]);
    using device = k.iommufdDevice.get(context, command.getUint32(8, true), rule["IOMMUFD-HWINFO-3"]);

    k.alloc();
    const info = opsOf(device.device).hwInfo(k);
    const wanted = flags & INPUT_TYPE ? command.getUint32(DATA_TYPE, true) : 0;
    must(wanted === 0 || wanted === info.type, rule["IOMMUFD-HWINFO-4"]);

    const room = command.getUint32(DATA_LEN, true);
    const copied = Math.min(room, info.bytes.length);
    const buffer = at(command.getBigUint64(16, true));
    buffer.copyTo(info.bytes, 0, copied, rule["IOMMUFD-HWINFO-5"]);
    buffer.clear(copied, room, rule["IOMMUFD-HWINFO-5"]);
    k.keeps(rule["IOMMUFD-HWINFO-7"]);

    const { dirtyTracking, pasidBits } = device.device;
    let capabilities = dirtyTracking ? CAP_DIRTY_TRACKING : 0n;
    // No IOMMU of the suite's machines takes translations that a device has cached, nor does the mock.
    if (k.version >= ATS_SINCE) capabilities |= CAP_PCI_ATS_NOT_SUPPORTED;
    const answer = block.bytes.slice(0, HwInfo.size);
    const view = new DataView(answer.buffer);
    writeValue(view, DATA_LEN, 4, info.bytes.length);
    writeValue(view, DATA_TYPE, 4, info.type);
    writeValue(view, DATA_TYPE + 4, 1, pasidBits);
    writeValue(view, fieldOf(HwInfo, "out_capabilities").offset, 8, capabilities);
    block.copyTo(answer, 0, respondSize(block, HwInfo.size), rule["IOMMUFD-HWINFO-6"]);
    k.keeps(rule["IOMMUFD-HWINFO-8"]);
    k.keeps(rule["IOMMUFD-HWINFO-9"]);
    if (k.version >= ATS_SINCE) k.keeps(rule["IOMMUFD-HWINFO-10"]);
    k.keeps(rule["IOMMUFD-HWINFO-11"]);
    return 0;
  },
});
