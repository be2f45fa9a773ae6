/** DMA logging: ranges whose writes a device logs, and the log read back. Beside drivers/vfio/vfio_main.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { arrayOf, field, layout, writeValue } from "../uapi/layout.ts";
import { U64_MAX } from "../uapi/u64.ts";
import type { DeviceFile, VfioDevice } from "./device.ts";
import { FEATURE, FEATURE_HEADER, FEATURE_INDEX, type Feature, featureIoctl, rule as featureRule } from "./feature.ts";

const header = (name: string) => `include/uapi/linux/vfio.h:VFIO_DEVICE_FEATURE_DMA_LOGGING_${name}`;
const source = (name: string) => `drivers/vfio/vfio_main.c:vfio_ioctl_device_feature_logging_${name}`;

/** No device of the machines that guests are logged before mtty did; those of `variants` did since there is this API. */
const logged = { since: "6.7" } as const;

export const rule = clauses({
  "VFIO-DMALOG-START-1": { ...logged, rule: "the data must be readable", errno: "EFAULT", source: source("start") },
  "VFIO-DMALOG-START-2": { ...logged, rule: "there must be a range", errno: "EINVAL", source: source("start") },
  "VFIO-DMALOG-START-3": {
    ...logged,
    rule: "there must not be more ranges than fit a page",
    errno: "E2BIG",
    source: header("START"),
  },
  "VFIO-DMALOG-START-4": { ...logged, rule: "every range must be readable", errno: "EFAULT", source: source("start") },
  "VFIO-DMALOG-START-5": {
    ...logged,
    rule: "where a range begins and how long it is must be multiples of page_size",
    errno: "EINVAL",
    source: source("start"),
  },
  "VFIO-DMALOG-START-6": {
    ...logged,
    rule: "a range must not run over the end of the address space",
    errno: "EOVERFLOW",
    source: source("start"),
  },
  "VFIO-DMALOG-START-7": { ...logged, rule: "ranges must not overlap", errno: "EINVAL", source: source("start") },
  "VFIO-DMALOG-START-8": {
    ...logged,
    rule: "logging that was started must be stopped before it is started again",
    errno: "EINVAL",
    source: header("START"),
  },
  "VFIO-DMALOG-START-9": {
    ...logged,
    rule: "the data must be writable; where it is not, nothing is logged",
    errno: "EFAULT",
    source: source("start"),
  },
  "VFIO-DMALOG-START-10": {
    ...logged,
    rule: "page_size brings the size of page that the device logs by",
    source: header("START"),
    observable: "output",
  },
  "VFIO-DMALOG-STOP-1": {
    ...logged,
    rule: "logging can be stopped, whether or not it was started",
    source: header("STOP"),
  },
  "VFIO-DMALOG-REPORT-1": { ...logged, rule: "the data must be readable", errno: "EFAULT", source: source("report") },
  "VFIO-DMALOG-REPORT-2": {
    ...logged,
    rule: "page_size must be a power of two, and 4 KiB or more",
    errno: "EINVAL",
    source: source("report"),
  },
  "VFIO-DMALOG-REPORT-3": {
    ...logged,
    rule: "the range must not run over the end of the address space",
    errno: "EOVERFLOW",
    source: source("report"),
  },
  "VFIO-DMALOG-REPORT-4": {
    ...logged,
    rule: "nothing is reported where nothing is logged",
    errno: "EINVAL",
    source: header("REPORT"),
  },
  "VFIO-DMALOG-REPORT-6": {
    ...logged,
    rule: "a kernel without iommufd has no bitmaps to report in",
    errno: "EOPNOTSUPP",
    kconfig: ["!IOMMUFD"],
    source: "include/linux/iova_bitmap.h:iova_bitmap_for_each",
  },
  "VFIO-DMALOG-REPORT-7": {
    ...logged,
    rule: "the bitmap must be writable where something was written; what is reported before stays so",
    errno: "EFAULT",
    partial: true,
    machine: "idxd",
    source: source("report"),
  },
  "VFIO-DMALOG-REPORT-5": {
    ...logged,
    rule: "bits of pages that were written are set in the bitmap, and none is cleared",
    source: header("REPORT"),
    observable: "output",
  },
});

/** A range of I/O addresses, both ends included. */
export interface LoggedRange {
  readonly first: bigint;
  readonly last: bigint;
}

/** What is asked of a log. */
export interface Report {
  readonly iova: bigint;
  /** May be 0. */
  readonly length: bigint;
  /** Notes that so many bytes from an address on were written. */
  set(iova: bigint, length: bigint): void;
}

/** struct vfio_log_ops */
export interface LoggingOps {
  /** Gives the page size that the device logs by, in bytes, which need not be the one asked for; or refuses. */
  start(k: Kernel, ranges: readonly LoggedRange[], pageSize: bigint): Operation<bigint>;
  stop(k: Kernel): Operation<void>;
  /** Tells what was written since it was last told, or refuses. */
  report(k: Kernel, report: Report): Operation<void>;
}

const LoggingRange = layout("vfio_device_feature_dma_logging_range", { iova: field.iova(), length: field.length() });
/** As many as programs have room for. */
const ROOM = 4;
/** Ranges that fit a page. */
const MAX_RANGES = 256;
const PAGE_SIZES = [4096, 8192, 0x20_0000, 0, 1, 4097] as const;
const CONTROL_END = FEATURE_HEADER + 24;
const REPORT_END = FEATURE_HEADER + 32;

const logs = (_k: Kernel, { accessGranted, device }: DeviceFile): boolean =>
  accessGranted && device.ops.logging !== undefined;

const { GET, SET } = FEATURE;
featureIoctl(
  "DMA_LOGGING_START",
  SET,
  {
    page_size: field.value64(...PAGE_SIZES),
    num_ranges: field.value32(1, 2, ROOM, 0, MAX_RANGES, MAX_RANGES + 1, 0xffff_ffff),
    __reserved: field.reserved32(),
    ranges: field.pointer(arrayOf(LoggingRange, ROOM)),
  },
  { useful: logs },
);
featureIoctl("DMA_LOGGING_STOP", SET, {}, { useful: logs });
featureIoctl(
  "DMA_LOGGING_REPORT",
  GET,
  {
    iova: field.iova(),
    length: field.length(),
    page_size: field.value64(...PAGE_SIZES),
    bitmap: field.pointer(layout("dma_logging_bitmap", { word_0: field.out64(), word_1: field.out64() })),
  },
  { useful: logs },
);

/** vfio_ioctl_device_feature_logging_start */
const start: Feature = {
  index: FEATURE_INDEX.DMA_LOGGING_START,
  *run(k, request): Operation<number> {
    const { block, at } = request;
    const ops = k.dmaLogging.opsOf(request.device);
    if (!k.feature.check(k, request, SET, 24)) return 0;
    block.copyFrom(CONTROL_END, rule["VFIO-DMALOG-START-1"], FEATURE_HEADER);
    const count = block.u32(FEATURE_HEADER + 8);
    must(count > 0, rule["VFIO-DMALOG-START-2"]);
    must(count <= MAX_RANGES, rule["VFIO-DMALOG-START-3"]);
    const asked = block.u64(FEATURE_HEADER);
    const ranges = k.dmaLogging.readRanges(at(block.u64(FEATURE_HEADER + 16)), count, asked);
    const pageSize = yield* ops.start(k, ranges, asked);
    try {
      const image = block.bytes.slice(0, CONTROL_END);
      writeValue(new DataView(image.buffer), FEATURE_HEADER, 8, pageSize);
      block.copyTo(image, FEATURE_HEADER, CONTROL_END, rule["VFIO-DMALOG-START-9"]);
    } catch (refusal) {
      yield* ops.stop(k);
      throw refusal;
    }
    k.keeps(rule["VFIO-DMALOG-START-10"]);
    return 0;
  },
};

/** vfio_ioctl_device_feature_logging_stop */
const stop: Feature = {
  index: FEATURE_INDEX.DMA_LOGGING_STOP,
  *run(k, request): Operation<number> {
    const ops = k.dmaLogging.opsOf(request.device);
    if (!k.feature.check(k, request, SET, 0)) return 0;
    yield* ops.stop(k);
    k.keeps(rule["VFIO-DMALOG-STOP-1"]);
    return 0;
  },
};

/** vfio_ioctl_device_feature_logging_report */
const report: Feature = {
  index: FEATURE_INDEX.DMA_LOGGING_REPORT,
  *run(k, request): Operation<number> {
    const { block, at } = request;
    const ops = k.dmaLogging.opsOf(request.device);
    if (!k.feature.check(k, request, GET, 32)) return 0;
    block.copyFrom(REPORT_END, rule["VFIO-DMALOG-REPORT-1"], FEATURE_HEADER);
    const pageSize = block.u64(FEATURE_HEADER + 16);
    must(pageSize >= 4096n && (pageSize & (pageSize - 1n)) === 0n, rule["VFIO-DMALOG-REPORT-2"]);
    const iova = block.u64(FEATURE_HEADER);
    const length = block.u64(FEATURE_HEADER + 8);
    must(iova + length <= U64_MAX, rule["VFIO-DMALOG-REPORT-3"]);
    // Drivers of hardware that logs bring bitmaps along: they select CONFIG_IOMMUFD_DRIVER.
    must(k.has("IOMMUFD") || !request.device.emulated, rule["VFIO-DMALOG-REPORT-6"]);
    const bitmap = at(block.u64(FEATURE_HEADER + 24));
    const set = (from: bigint, bytes: bigint): void => {
      k.dmaLogging.setBits(bitmap, { first: iova, last: iova + length - 1n }, pageSize, {
        first: from,
        last: from + bytes - 1n,
      });
    };
    yield* ops.report(k, { iova, length, set });
    k.keeps(rule["VFIO-DMALOG-REPORT-5"]);
    return 0;
  },
};

export const loggingFeatures: readonly Feature[] = [start, stop, report];

export const steps = {
  opsOf({ ops }: VfioDevice): LoggingOps {
    must(ops.logging !== undefined, featureRule["VFIO-FEATURE-5"]);
    return ops.logging;
  },

  /** Looks at the ranges one after the other, so that the first that is wrong decides. */
  readRanges(ranges: UserBlock, count: number, pageSize: bigint): readonly LoggedRange[] {
    const taken: LoggedRange[] = [];
    const mask = BigInt.asUintN(64, pageSize - 1n);
    for (let i = 0; i < count; i++) {
      const from = i * LoggingRange.size;
      ranges.copyFrom(from + LoggingRange.size, rule["VFIO-DMALOG-START-4"], from);
      const first = ranges.u64(from);
      const length = ranges.u64(from + 8);
      must((first & mask) === 0n && (length & mask) === 0n, rule["VFIO-DMALOG-START-5"]);
      must(first + length <= U64_MAX, rule["VFIO-DMALOG-START-6"]);
      if (length === 0n) throw new Unmodelled("a range of no length");
      const last = first + length - 1n;
      must(!taken.some((other) => first <= other.last && last >= other.first), rule["VFIO-DMALOG-START-7"]);
      taken.push({ first, last });
    }
    return taken;
  },

  /** iova_bitmap_set: the bits of the pages that something written lies in, of those that were asked for. */
  setBits(bitmap: UserBlock, asked: LoggedRange, pageSize: bigint, written: LoggedRange): void {
    const first = written.first > asked.first ? (written.first - asked.first) / pageSize : 0n;
    const last = ((written.last < asked.last ? written.last : asked.last) - asked.first) / pageSize;
    for (let bit = first; bit <= last; bit++) {
      const at = Number(bit / 8n);
      bitmap.know(at + 1);
      const byte = (bitmap.bytes[at] ?? 0) | (1 << Number(bit % 8n));
      bitmap.put(at, 1, byte, rule["VFIO-DMALOG-REPORT-7"]);
    }
  },
};
