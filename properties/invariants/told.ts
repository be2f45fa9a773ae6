/** What devices tell of themselves, taken out of structs as a call has left them. */
import type { Call } from "../../model/program.ts";
import { DEVICE_FLAGS } from "../../model/vfio/device-info.ts";
import { FEATURE } from "../../model/vfio/feature.ts";

export const ENOTTY = 25;

/** The answer to GET_INFO. */
export interface DeviceInfo {
  readonly isPci: boolean;
  readonly regions: number;
  readonly irqs: number;
}

/** The answer to GET_REGION_INFO; bytes. */
export interface RegionInfo {
  readonly index: number;
  readonly flags: number;
  readonly size: bigint;
  readonly offset: bigint;
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView =>
  new DataView(buffer, byteOffset, byteLength);

/** Undefined where the struct is shorter than what the kernel has written. */
export function infoOf(struct: Uint8Array): DeviceInfo | undefined {
  if (struct.length < 16) return undefined;
  const view = viewOf(struct);
  return {
    isPci: (view.getUint32(4, true) & DEVICE_FLAGS.PCI) !== 0,
    regions: view.getUint32(8, true),
    irqs: view.getUint32(12, true),
  };
}

export function regionOf(struct: Uint8Array): RegionInfo | undefined {
  if (struct.length < 32) return undefined;
  const view = viewOf(struct);
  return {
    index: view.getUint32(8, true),
    flags: view.getUint32(4, true),
    size: view.getBigUint64(16, true),
    offset: view.getBigUint64(24, true),
  };
}

/** The flags of a feature call that lies in memory that both sides can read, or null. */
function featureFlags(call: Call & { op: "ioctl" }): number | null {
  if (!call.request.startsWith("VFIO_DEVICE_FEATURE") || call.arg.kind !== "struct") return null;
  const { fields, place } = call.arg.struct;
  const { argsz, flags } = fields;
  if (place !== undefined || typeof argsz !== "number" || argsz < 8) return null;
  return typeof flags === "number" ? flags : null;
}

/** The number of a feature that is asked for by a plain probe, or null. */
export function probed(call: Call & { op: "ioctl" }): number | null {
  const flags = featureFlags(call);
  return flags !== null && (flags & ~FEATURE.MASK) === FEATURE.PROBE ? flags & FEATURE.MASK : null;
}

/** The number of a feature that is got or set, or null. */
export function asked(call: Call & { op: "ioctl" }): number | null {
  const flags = featureFlags(call);
  const how = flags === null ? 0 : flags & ~FEATURE.MASK;
  return flags !== null && (how === FEATURE.GET || how === FEATURE.SET) ? flags & FEATURE.MASK : null;
}

/** Whether a feature is set, or may be. */
export function isSet(call: Call & { op: "ioctl" }): boolean {
  const flags = featureFlags(call);
  return flags === null || (flags & FEATURE.SET) !== 0;
}
