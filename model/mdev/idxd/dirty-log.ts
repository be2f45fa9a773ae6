/**
 * What a virtual accelerator has written, so that it can be migrated: nothing in the hardware logs it, so whoever carries descriptors
 * out notes their destinations and completion records. Beside drivers/vfio/vfio_main.c:vfio_ioctl_device_feature_logging_report.
 */
import { clauses, must } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { Operation } from "../../kernel/operation.ts";
import type { VfioDevice } from "../../vfio/device.ts";
import { type LoggedRange, type LoggingOps, rule as loggingRule, type Report } from "../../vfio/dma-logging.ts";
import type { HostPasid } from "./host.ts";
import { IDXD } from "./sources.ts";
import type { VirtualDsa } from "./virtual-device.ts";

export const rule = clauses({
  "IDXD-LOG-1": {
    ...IDXD,
    since: "6.7",
    rule: "pages that descriptors have written, destinations and completion records alike, are reported once, if they are in a range that is logged",
    source: "include/uapi/linux/vfio.h:VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT",
    observable: "output",
  },
});

/** Pages by the size that logging was started with. */
export class DirtyLog {
  ranges: readonly LoggedRange[] | null = null;
  pageSize = 4096n;
  /** Where pages begin that were written since they were last reported. */
  readonly pages = new Set<bigint>();

  stop(): void {
    this.ranges = null;
    this.pages.clear();
  }

  /** Notes that bytes were written. */
  note(iova: bigint, length: number): void {
    const { ranges, pageSize } = this;
    if (!ranges) return;
    const last = iova + BigInt(length) - 1n;
    for (let page = iova - (iova % pageSize); page <= last; page += pageSize) {
      if (ranges.some((range) => page <= range.last && page + pageSize > range.first)) this.pages.add(page);
    }
  }

  trace(): number {
    return this.ranges ? 1 + this.ranges.length * 2 + this.pages.size * 64 : 0;
  }
}

export const logSteps = {
  /** A descriptor wrote: what other address spaces the guest has are not the ones that are migrated by these addresses. */
  wrote({ log }: VirtualDsa, file: VfioDevice, { access }: HostPasid, iova: bigint, length: number): void {
    if (access === null || access.ioas === file.iommufdAccess?.ioas) log.note(iova, length);
  },
};

/** struct vfio_log_ops of a device. */
export const loggingOf = ({ log }: VirtualDsa): LoggingOps => ({
  *start(_k: Kernel, ranges: readonly LoggedRange[], pageSize: bigint): Operation<bigint> {
    must(log.ranges === null, loggingRule["VFIO-DMALOG-START-8"]);
    log.ranges = ranges;
    log.pageSize = pageSize;
    return pageSize;
  },
  *stop(): Operation<void> {
    log.stop();
  },
  *report(k: Kernel, report: Report): Operation<void> {
    must(log.ranges !== null, loggingRule["VFIO-DMALOG-REPORT-4"]);
    const last = report.iova + report.length - 1n;
    for (const page of log.pages) {
      if (page > last || page + log.pageSize <= report.iova) continue;
      report.set(page, log.pageSize);
      log.pages.delete(page);
      k.keeps(rule["IDXD-LOG-1"]);
    }
  },
});
