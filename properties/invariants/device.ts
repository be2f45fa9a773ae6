/**
 * What every driver of a PCI function must keep, whatever it has of its own: invariants over what a device has told and done.
 * They judge vfio-pci in a guest as well as the drivers that only the model has.
 */
import type { Call } from "../../model/program.ts";
import { PCI_IRQ_COUNT, PCI_REGION, REGION_FLAGS } from "../../model/vfio/device-info.ts";
import { STATE } from "../../model/vfio/migration-states.ts";
import type { HistoryInvariant } from "./invariant.ts";
import type { SeenFile } from "./seen.ts";
import { asked, ENOTTY, infoOf, type RegionInfo, regionOf } from "./told.ts";

const EINVAL = 22;
const PAGE = 4096n;

export const fixedIndexes: HistoryInvariant = {
  kind: "history",
  id: "fixed-indexes",
  title: "a PCI device has the regions and interrupts that all have, and always as many",
  broken(seen, call, ret, struct) {
    if (ret !== 0 || call.op !== "ioctl" || call.request !== "VFIO_DEVICE_GET_INFO" || !struct) return undefined;
    const info = infoOf(struct);
    if (!info?.isPci) return undefined;
    if (info.regions < PCI_REGION.COUNT || info.irqs < PCI_IRQ_COUNT) {
      return `a PCI device has ${info.regions} regions and ${info.irqs} interrupts`;
    }
    const before = seen.file(call.fd)?.told?.info;
    return before && (before.regions !== info.regions || before.irqs !== info.irqs)
      ? `a device had ${before.regions} regions and ${before.irqs} interrupts, and has ${info.regions} and ${info.irqs}`
      : undefined;
  },
};

export const regionsTold: HistoryInvariant = {
  kind: "history",
  id: "regions-told",
  title: "every region that GET_INFO counts can be asked for",
  broken(seen, call, ret) {
    if (ret !== -EINVAL || call.op !== "ioctl" || call.request !== "VFIO_DEVICE_GET_REGION_INFO") return undefined;
    const { info } = seen.file(call.fd)?.told ?? {};
    if (!info?.isPci || call.arg.kind !== "struct" || call.arg.struct.place !== undefined) return undefined;
    const { argsz, index = 0 } = call.arg.struct.fields;
    if (typeof argsz !== "number" || argsz < 32 || typeof index !== "number") return undefined;
    // Kernels refuse the VGA range of functions that have none: vga-region-refused.
    return index < info.regions && index !== PCI_REGION.VGA
      ? `region ${index} of ${info.regions} was refused`
      : undefined;
  },
};

const overlap = (one: RegionInfo, other: RegionInfo): boolean =>
  one.size > 0n && other.size > 0n && one.offset < other.offset + other.size && other.offset < one.offset + one.size;

export const regionsApart: HistoryInvariant = {
  kind: "history",
  id: "regions-apart",
  title: "regions that GET_INFO counts do not overlap in the device's file, and stay what they are",
  broken(seen, call, ret, struct) {
    if (ret !== 0 || call.op !== "ioctl" || call.request !== "VFIO_DEVICE_GET_REGION_INFO" || !struct) return undefined;
    const region = regionOf(struct);
    const told = seen.file(call.fd)?.told;
    if (!region || !told?.info?.isPci || region.index >= told.info.regions) return undefined;
    for (const other of told.regions.values()) {
      if (other.index === region.index) {
        if (other.offset !== region.offset) return `region ${region.index} has moved in the device's file`;
      } else if (other.index < told.info.regions && overlap(region, other)) {
        return `the regions ${other.index} and ${region.index} overlap`;
      }
    }
    return undefined;
  },
};

/** The region whose part of a device's file an offset lies in or right behind, where that was told of. */
function regionAt({ told }: SeenFile, offset: bigint): RegionInfo | undefined {
  const info = told?.info;
  if (!told || !info?.isPci) return undefined;
  let nearest: RegionInfo | undefined;
  for (const region of told.regions.values()) {
    if (region.index >= info.regions || region.size === 0n || region.offset > offset) continue;
    if (!nearest || region.offset > nearest.offset) nearest = region;
  }
  return nearest;
}

/** Whether every region that there is has been told of. */
const isComplete = ({ told }: SeenFile): boolean => {
  const all = told?.info?.regions ?? Number.POSITIVE_INFINITY;
  return told !== null && [...told.regions.keys()].filter((index) => index < all).length === all;
};

const offsetOf = (call: Call): bigint | null =>
  "offset" in call && typeof call.offset === "number" && call.offset >= 0 ? BigInt(call.offset) : null;

/**
 * What is wrong with a read that was refused as lying nowhere. Registers of I/O have widths of their own, and the VGA range has
 * holes: only memory that can be mapped, and what a driver has registered, is read wherever it is.
 */
function refusedInside(file: SeenFile, call: Call, offset: bigint): string | undefined {
  const region = call.op === "pread" ? regionAt(file, offset) : undefined;
  if (!region || !("count" in call) || call.count === 0 || (region.flags & REGION_FLAGS.READ) === 0) return undefined;
  if ((region.flags & REGION_FLAGS.MMAP) === 0 && region.index < PCI_REGION.COUNT) return undefined;
  return offset + BigInt(call.count) <= region.offset + region.size
    ? `a read at ${offset} was refused, which is in region ${region.index}`
    : undefined;
}

export const regionEnds: HistoryInvariant = {
  kind: "history",
  id: "region-ends",
  title: "memory can be read up to a region's end, and nothing is read or written behind it",
  broken(seen, call, ret) {
    if ((ret <= 0 && ret !== -EINVAL) || (call.op !== "pread" && call.op !== "pwrite")) return undefined;
    const file = seen.file(call.fd);
    const offset = offsetOf(call);
    if (!file || offset === null) return undefined;
    if (ret < 0) return refusedInside(file, call, offset);
    // Regions lie so far apart that what is behind the end of one is before the begin of the next.
    const region = regionAt(file, offset);
    if (!region || !isComplete(file)) return undefined;
    return offset + BigInt(ret) > region.offset + region.size
      ? `${ret} bytes were moved at ${offset}, past the end of region ${region.index}`
      : undefined;
  },
};

export const mappedAsTold: HistoryInvariant = {
  kind: "history",
  id: "mapped-as-told",
  title: "only regions that can be mapped by what they tell are mapped, as far as their pages go",
  broken(seen, call, ret) {
    if (ret <= 0 || call.op !== "mmap") return undefined;
    const file = seen.file(call.fd);
    const offset = offsetOf(call);
    if (!file || offset === null || typeof call.length !== "number") return undefined;
    const region = regionAt(file, offset);
    if (!region || offset >= region.offset + region.size) return undefined;
    if ((region.flags & REGION_FLAGS.MMAP) === 0) return `region ${region.index}, which can't be mapped, was mapped`;
    const pages = ((region.size + PAGE - 1n) / PAGE) * PAGE;
    const end = offset + ((BigInt(call.length) + PAGE - 1n) / PAGE) * PAGE;
    return end > region.offset + pages ? `a mapping goes past the end of region ${region.index}` : undefined;
  },
};

export const probeTells: HistoryInvariant = {
  kind: "history",
  id: "probe-tells",
  title: "a feature that a probe has found is answered, and one that it has not found is not",
  broken(seen, call, ret) {
    if (call.op !== "ioctl") return undefined;
    const feature = asked(call);
    const found = feature === null ? undefined : seen.file(call.fd)?.told?.features.get(feature);
    if (found === undefined) return undefined;
    if (found && ret === -ENOTTY) return `feature ${feature} was found by a probe, and is none`;
    return !found && ret === 0 ? `feature ${feature} was not found by a probe, and was answered` : undefined;
  },
};

export const resetRuns: HistoryInvariant = {
  kind: "history",
  id: "reset-runs",
  title: "a device that was reset is in the migration state RUNNING",
  broken(seen, call, ret, struct) {
    if (ret !== 0 || call.op !== "ioctl" || call.request !== "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE") return undefined;
    const file = seen.file(call.fd);
    if (!file || seen.reset !== file || asked(call) === null || !struct || struct.length < 16) return undefined;
    const { buffer, byteOffset } = struct;
    const state = new DataView(buffer, byteOffset).getUint32(8, true);
    const flags = call.arg.kind === "struct" ? call.arg.struct.fields["flags"] : undefined;
    const isGet = typeof flags === "number" && (flags & 0x1_0000) !== 0;
    return isGet && state !== STATE.RUNNING ? `a device that was reset is in state ${state}` : undefined;
  },
};

export const DEVICE_INVARIANTS = [
  fixedIndexes,
  regionsTold,
  regionsApart,
  regionEnds,
  mappedAsTold,
  probeTells,
  resetRuns,
] as const;
