/**
 * GET_INFO, GET_REGION_INFO and RESET of a device: the structs and the rules that all drivers share. What a device is
 * made of, each driver says itself. Beside drivers/vfio/vfio_main.c and include/uapi/linux/vfio.h.
 */
import { type Clause, clauses, must } from "../kernel/clause.ts";
import { type Ioctl, ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { field, layout, offsetOfEnd } from "../uapi/layout.ts";
import type { DeviceFile } from "./device.ts";

const header = (name: string) => `include/uapi/linux/vfio.h:${name}`;

export const rule = clauses({
  "VFIO-DEV-INFO-1": {
    rule: "the struct must be readable up to num_irqs",
    errno: "EFAULT",
    source: header("VFIO_DEVICE_GET_INFO"),
  },
  "VFIO-DEV-INFO-2": {
    rule: "argsz must cover num_irqs",
    errno: "EINVAL",
    source: header("VFIO_DEVICE_GET_INFO"),
  },
  "VFIO-DEV-INFO-3": {
    rule: "the struct, and capabilities that argsz has room for, must be writable",
    errno: "EFAULT",
    source: header("VFIO_DEVICE_GET_INFO"),
  },
  "VFIO-DEV-INFO-4": {
    rule: "flags, num_regions and num_irqs are those of the device, and nothing past argsz is written",
    source: header("VFIO_DEVICE_GET_INFO"),
    observable: "output",
  },
  "VFIO-DEV-INFO-5": {
    rule: "capabilities that argsz has no room for are announced: argsz says what they need, cap_offset is 0",
    source: header("vfio_info_cap_header"),
    machine: "variants",
    observable: "output",
  },
  "VFIO-DEV-INFO-6": {
    rule: "capabilities follow the struct as a chain that begins at cap_offset",
    source: header("vfio_info_cap_header"),
    machine: "variants",
    observable: "output",
  },
  "VFIO-DEV-REGION-1": {
    rule: "the struct must be readable",
    errno: "EFAULT",
    source: header("VFIO_DEVICE_GET_REGION_INFO"),
  },
  "VFIO-DEV-REGION-2": {
    rule: "argsz must cover offset",
    errno: "EINVAL",
    source: header("VFIO_DEVICE_GET_REGION_INFO"),
  },
  "VFIO-DEV-REGION-3": {
    rule: "the index must be one that the device has",
    errno: "EINVAL",
    source: header("VFIO_DEVICE_GET_REGION_INFO"),
  },
  "VFIO-DEV-REGION-4": {
    rule: "the struct, and capabilities that argsz has room for, must be writable",
    errno: "EFAULT",
    source: header("VFIO_DEVICE_GET_REGION_INFO"),
  },
  "VFIO-DEV-REGION-5": {
    rule: "flags, size and offset are those of the region",
    source: header("VFIO_DEVICE_GET_REGION_INFO"),
    observable: "output",
  },
  "VFIO-DEV-REGION-6": {
    rule: "capabilities that argsz has no room for are announced: argsz says what they need, cap_offset is 0",
    source: header("vfio_info_cap_header"),
    observable: "output",
  },
  "VFIO-DEV-REGION-7": {
    rule: "capabilities follow the struct as a chain that begins at cap_offset",
    source: header("vfio_info_cap_header"),
    observable: "output",
  },
});

export const DEVICE_FLAGS = { RESET: 1, PCI: 2, CAPS: 0x80 } as const;
export const REGION_FLAGS = { READ: 1, WRITE: 2, MMAP: 4, CAPS: 8 } as const;

/** How far apart regions begin in the file of a PCI device, and of mtty, which does as they do (VFIO_PCI_OFFSET_SHIFT). */
export const REGION_SIZE = 2 ** 40;

/** Region indexes of PCI devices. */
export const PCI_REGION = { ROM: 6, CONFIG: 7, VGA: 8, COUNT: 9 } as const;
/** Interrupt indexes of PCI devices. */
export const PCI_IRQ = { INTX: 0, MSI: 1, MSIX: 2, ERR: 3, REQ: 4 } as const;
/** INTx, MSI, MSI-X, errors and requests. */
export const PCI_IRQ_COUNT = 5;

/** Commands of device files that drivers answer and this model does not have yet. */
export const DEVICE_REQUEST = {
  GET_IRQ_INFO: vfioRequest(109),
  SET_IRQS: vfioRequest(110),
  QUERY_GFX_PLANE: vfioRequest(114),
} as const;

/** struct vfio_device_info. Kernels before 6.6 do not know `pad`. */
export const DeviceInfo = layout("vfio_device_info", {
  argsz: field.argsz(),
  flags: field.out32(),
  num_regions: field.out32(),
  num_irqs: field.out32(),
  cap_offset: field.later(field.out32()),
  pad: field.later(field.out32()),
});

export const RegionInfo = layout("vfio_region_info", {
  argsz: field.argsz(),
  flags: field.out32(),
  index: field.value32(0, 7, 1, 2, 6, 8, 3, 4, 5, 9, 16, 0xffff_ffff),
  cap_offset: field.out32(),
  size: field.out64(),
  offset: field.out64(),
});

/** The driver answers; see DeviceFile. */
const answeredByDriver =
  (command: () => Ioctl): Ioctl<DeviceFile>["run"] =>
  (k, file, arg) =>
    file.device.ops.ioctl(k, file, command(), arg);

const useful = (_k: Kernel, file: DeviceFile): boolean => file.accessGranted;

export const getInfo: Ioctl<DeviceFile> = ioctl<DeviceFile>({
  name: "VFIO_DEVICE_GET_INFO",
  request: vfioRequest(107),
  argument: { kind: "struct", layout: DeviceInfo },
  on: ["device"],
  useful,
  run: answeredByDriver(() => getInfo),
});

export const getRegionInfo: Ioctl<DeviceFile> = ioctl<DeviceFile>({
  name: "VFIO_DEVICE_GET_REGION_INFO",
  request: vfioRequest(108),
  argument: { kind: "struct", layout: RegionInfo },
  on: ["device"],
  useful,
  run: answeredByDriver(() => getRegionInfo),
});

export const resetDevice: Ioctl<DeviceFile> = ioctl<DeviceFile>({
  name: "VFIO_DEVICE_RESET",
  request: vfioRequest(111),
  argument: { kind: "none" },
  on: ["device"],
  useful,
  run: answeredByDriver(() => resetDevice),
});

/** A capability: struct vfio_info_cap_header and the words behind it. */
export interface Capability {
  readonly id: number;
  readonly version: number;
  /** The body, 32 bits each. */
  readonly words: readonly number[];
}

/** What a driver says of a device. */
export interface DeviceDescription {
  readonly flags: number;
  readonly regions: number;
  readonly irqs: number;
  readonly capabilities: readonly Capability[];
}

/** What a driver says of a region; bytes. */
export interface RegionDescription {
  readonly flags: number;
  readonly size: number;
  readonly offset: number;
  readonly capabilities: readonly Capability[];
}

const CAP_HEADER_SIZE = 8;

/** A chain of capabilities that begins `at` so many bytes into the struct; each is padded to 8 bytes. */
export function encodeCapabilities(capabilities: readonly Capability[], at: number): Uint8Array {
  const sizes = capabilities.map(({ words }) => Math.ceil((CAP_HEADER_SIZE + 4 * words.length) / 8) * 8);
  const bytes = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  let start = 0;
  for (const [i, { id, version, words }] of capabilities.entries()) {
    const next = start + (sizes[i] ?? 0);
    view.setUint16(start, id, true);
    view.setUint16(start + 2, version, true);
    view.setUint32(start + 4, next < bytes.length ? at + next : 0, true);
    for (const [j, word] of words.entries()) view.setUint32(start + CAP_HEADER_SIZE + 4 * j, word, true);
    start = next;
  }
  return bytes;
}

/** The clauses of a struct that capabilities may follow. */
interface CapabilityClauses {
  readonly fault: Clause;
  readonly announced: Clause;
  readonly chained: Clause;
}

/** Where the capabilities of an answer went. */
interface Placed {
  /** What argsz says then. */
  readonly argsz: number;
  readonly capOffset: number;
}

/** Stores capabilities behind a struct of `size` bytes where argsz has room for them: vfio_info_cap_shift. */
function placeCapabilities(
  k: Kernel,
  block: UserBlock,
  size: number,
  capabilities: readonly Capability[],
  clause: CapabilityClauses,
): Placed {
  const argsz = block.u32(0);
  if (capabilities.length === 0) return { argsz, capOffset: 0 };
  const chain = encodeCapabilities(capabilities, size);
  const end = size + chain.length;
  if (argsz < end) {
    k.keeps(clause.announced);
    return { argsz: end, capOffset: 0 };
  }
  const image = block.bytes.slice();
  image.set(chain, size);
  block.copyTo(image, size, end, clause.fault);
  k.keeps(clause.chained);
  return { argsz, capOffset: size };
}

const INFO_MINSZ = offsetOfEnd(DeviceInfo, "num_irqs");

/** What GET_INFO writes back, in bytes. */
export interface InfoSize {
  /** sizeof the struct as the driver knows it. */
  readonly struct: number;
  /** Bytes written for a caller that gave this argsz. */
  readonly written: (argsz: number) => number;
}

/** Answers GET_INFO for a driver. */
export function answerInfo(k: Kernel, block: UserBlock, device: DeviceDescription, size: InfoSize): void {
  block.copyFrom(INFO_MINSZ, rule["VFIO-DEV-INFO-1"]);
  const given = block.u32(0);
  must(given >= INFO_MINSZ, rule["VFIO-DEV-INFO-2"]);
  const { argsz, capOffset } = placeCapabilities(k, block, size.struct, device.capabilities, {
    fault: rule["VFIO-DEV-INFO-3"],
    announced: rule["VFIO-DEV-INFO-5"],
    chained: rule["VFIO-DEV-INFO-6"],
  });
  const image = new Uint8Array(DeviceInfo.size);
  const view = new DataView(image.buffer);
  view.setUint32(0, argsz, true);
  view.setUint32(4, device.flags | (device.capabilities.length > 0 ? DEVICE_FLAGS.CAPS : 0), true);
  view.setUint32(8, device.regions, true);
  view.setUint32(12, device.irqs, true);
  view.setUint32(16, capOffset, true);
  block.copyTo(image, 0, size.written(given), rule["VFIO-DEV-INFO-3"]);
  k.keeps(rule["VFIO-DEV-INFO-4"]);
}

const REGION_MINSZ = offsetOfEnd(RegionInfo, "offset");

/** Answers GET_REGION_INFO for a driver; `describe` refuses an index that there is no region for. */
export function answerRegionInfo(k: Kernel, block: UserBlock, describe: (index: number) => RegionDescription): void {
  block.copyFrom(REGION_MINSZ, rule["VFIO-DEV-REGION-1"]);
  must(block.u32(0) >= REGION_MINSZ, rule["VFIO-DEV-REGION-2"]);
  const region = describe(block.get(RegionInfo, "index"));
  const { argsz, capOffset } = placeCapabilities(k, block, RegionInfo.size, region.capabilities, {
    fault: rule["VFIO-DEV-REGION-4"],
    announced: rule["VFIO-DEV-REGION-6"],
    chained: rule["VFIO-DEV-REGION-7"],
  });
  const hasCaps = region.capabilities.length > 0;
  const image = block.bytes.slice(0, RegionInfo.size);
  const view = new DataView(image.buffer);
  view.setUint32(0, argsz, true);
  view.setUint32(4, region.flags | (hasCaps ? REGION_FLAGS.CAPS : 0), true);
  // Without capabilities cap_offset stays what the caller put there.
  if (hasCaps) view.setUint32(12, capOffset, true);
  view.setBigUint64(16, BigInt(region.size), true);
  view.setBigUint64(24, BigInt(region.offset), true);
  block.copyTo(image, 0, REGION_MINSZ, rule["VFIO-DEV-REGION-4"]);
  k.keeps(rule["VFIO-DEV-REGION-5"]);
}
