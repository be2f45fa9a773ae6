/**
 * What a user may do with each bit of a capability: which bits are a copy of his own, and which he may write. Beside the
 * permission tables of drivers/vfio/pci/vfio_pci_config.c.
 */

/** How the writes of a capability work, beyond storing bits. */
export type CapabilityKind = "header" | "pm" | "vpd" | "msi" | "express" | "af" | "plain";

/** One bit for each bit of a capability. */
export interface Permissions {
  readonly kind: CapabilityKind;
  /** Bits that are read from, and written to, the user's copy instead of the function. */
  readonly virtual: Uint8Array;
  /** Bits that writes change; null where nothing can be written, and "raw" where all goes to the function as it is. */
  readonly writable: Uint8Array | "raw" | null;
}

/** One line of a table: where, how many bytes, the bits that are virtual, those that can be written. */
type Line = readonly [at: number, width: 1 | 2 | 4, virtual: number, writable: number];

const NONE = 0;
const ALL = 0xffff_ffff;

/** A table of permissions over so many bytes; what no line names can be read from the function, and not written. */
function table(kind: CapabilityKind, length: number, lines: readonly Line[]): Permissions {
  const size = (length + 3) & ~3;
  const virtual = new Uint8Array(size);
  const writable = new Uint8Array(size);
  for (const [at, width, virtualBits, writableBits] of lines) {
    for (let i = 0; i < width; i++) {
      virtual[at + i] = (virtualBits >>> (8 * i)) & 0xff;
      writable[at + i] = (writableBits >>> (8 * i)) & 0xff;
    }
  }
  return { kind, virtual, writable };
}

/** The pointer to the next capability is virtual, so that capabilities can be hidden. */
const NEXT: Line = [1, 1, ALL, NONE];
/** The same of an extended capability, whose first word holds id, version and pointer. */
const EXTENDED_NEXT: Line = [0, 4, ALL, NONE];

export const COMMAND = { AT: 0x04, IO: 1, MEMORY: 2, MASTER: 4, INTX_DISABLE: 0x400 } as const;
export const STATUS = { AT: 0x06, INTERRUPT: 8 } as const;
export const STATUS_CAPABILITIES = 0x10;
export const BAR_AT = 0x10;
export const ROM_AT = 0x30;
export const CAPABILITIES_AT = 0x34;
export const INTERRUPT_PIN = 0x3d;
const BARS: readonly number[] = [0, 1, 2, 3, 4, 5].map((bar) => BAR_AT + 4 * bar);

/** The header of a function that is no bridge. Vendor and device are virtual for virtual functions, which have none. */
export const HEADER = table("header", 0x40, [
  [0x00, 2, ALL, NONE],
  [0x02, 2, ALL, NONE],
  [COMMAND.AT, 2, COMMAND.INTX_DISABLE, ALL],
  [0x06, 2, STATUS_CAPABILITIES, NONE],
  // Cache line size, latency timer, built-in self test.
  [0x0c, 1, NONE, ALL],
  [0x0d, 1, NONE, ALL],
  [0x0f, 1, NONE, ALL],
  ...BARS.map((at): Line => [at, 4, ALL, ALL]),
  [ROM_AT, 4, ALL, ALL],
  [CAPABILITIES_AT, 1, ALL, NONE],
  // Interrupt line and pin.
  [0x3c, 1, ALL, ALL],
  [INTERRUPT_PIN, 1, ALL, NONE],
]);

/** Power management: the capabilities' word, and control and status. */
export const PM = {
  CAPABILITIES: 2,
  CONTROL: 4,
  STATE: 3,
  NO_SOFT_RESET: 8,
  PME: 0x8100,
  PME_SUPPORT: 0xf800,
} as const;
export const POWER_MANAGEMENT = table("pm", 8, [
  NEXT,
  [PM.CAPABILITIES, 2, PM.PME_SUPPORT, NONE],
  // The state is changed on the user's behalf, not by him.
  [PM.CONTROL, 4, PM.PME, ~(PM.PME | PM.STATE)],
]);

export const VPD = { ADDRESS: 2 } as const;
export const VITAL_PRODUCT_DATA = table("vpd", 8, [NEXT, [VPD.ADDRESS, 2, ALL, ALL], [4, 4, ALL, ALL]]);

export const PCI_X = table("plain", 24, [NEXT, [2, 2, NONE, ALL], [8, 4, NONE, ALL]]);

export const EXPRESS = { CAPABILITIES: 4, CONTROL: 8, FLR: 0x8000, HAS_FLR: 0x1000_0000 } as const;
const PAYLOAD = 0x00e0;
const READ_REQUEST = 0x7000;
const PHANTOM = 0x0200;
const ARI_FORWARDING = 0x0020;
export const PCI_EXPRESS = table("express", 0x34, [
  NEXT,
  [EXPRESS.CONTROL, 2, EXPRESS.FLR | PAYLOAD | READ_REQUEST, ~PHANTOM],
  [0x28, 2, NONE, ~ARI_FORWARDING],
]);

export const AF = { CAPABILITIES: 3, CONTROL: 4, HAS_FLR: 3, FLR: 1 } as const;
export const ADVANCED_FEATURES = table("af", 6, [NEXT, [AF.CONTROL, 1, AF.FLR, AF.FLR]]);

/** MSI's message control, its low byte: enabled, and of eight binary logarithms of vectors, how many it has and uses. */
export const MSI = { CONTROL: 2, ENABLE: 0x01, IN_USE: 0x70, WIDE: 0x80, MASKS: 0x100 } as const;

/** MSI, by its message control: with an address of 64 bits, with a mask for each vector. */
export function messageSignalled(control: number): { readonly length: number; readonly permissions: Permissions } {
  const wide = (control & MSI.WIDE) !== 0;
  const masks = (control & MSI.MASKS) !== 0;
  const length = 10 + (wide ? 4 : 0) + (masks ? 10 : 0);
  const lines: Line[] = [NEXT, [MSI.CONTROL, 1, ALL, MSI.ENABLE | MSI.IN_USE], [4, 4, ALL, ALL]];
  if (wide) lines.push([8, 4, ALL, ALL]);
  const data = wide ? 12 : 8;
  lines.push([data, 2, ALL, ALL]);
  // Mask and pending bits are the function's.
  if (masks) lines.push([data + 4, 4, NONE, ALL], [data + 8, 4, NONE, ALL]);
  return { length, permissions: table("msi", length, lines) };
}

/** MSI-X: its id, and in the upper byte of its message control whether it is enabled. */
export const MSIX = { ID: 0x11, CONTROL: 2, ENABLE: 0x80 } as const;

/** Uncorrectable errors that have a name, and correctable ones. */
const UNCORRECTABLE = 0x03ff_f031;
const CORRECTABLE = 0xf1c1;
const ECRC = 0x140;
export const ERROR_REPORTING = table("plain", 0x2c, [
  EXTENDED_NEXT,
  [0x04, 4, NONE, UNCORRECTABLE],
  [0x08, 4, NONE, UNCORRECTABLE],
  [0x0c, 4, NONE, UNCORRECTABLE],
  [0x10, 4, NONE, CORRECTABLE],
  [0x14, 4, NONE, CORRECTABLE],
  [0x18, 4, NONE, ECRC],
]);

/** The selector of the data can be written. */
export const POWER_BUDGETING = table("plain", 0x10, [EXTENDED_NEXT, [8, 1, NONE, ALL]]);

/** A capability that is shown as it is but for its pointer, and that nothing of can be written. */
export function shown(length: number, extended: boolean): Permissions {
  return { ...table("plain", length, [extended ? EXTENDED_NEXT : [0, 2, ALL, NONE]]), writable: null };
}

/** A vendor's own: shown as it is, and written as it is. */
export function vendors(length: number, extended: boolean): Permissions {
  return { ...shown(length, extended), writable: "raw" };
}
