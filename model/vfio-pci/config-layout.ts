/**
 * The layout of a function's configuration space as a user sees it: which capability each byte belongs to, which are
 * hidden, and how the lists go around them. Beside vfio_cap_init and vfio_ecap_init of drivers/vfio/pci/vfio_pci_config.c.
 */
import { parseRegisters } from "../pci/register-text.ts";
import type { FunctionSpec } from "../topology.ts";
import {
  ADVANCED_FEATURES,
  CAPABILITIES_AT,
  ERROR_REPORTING,
  HEADER,
  MSI,
  messageSignalled,
  PCI_EXPRESS,
  PCI_X,
  type Permissions,
  PM,
  POWER_BUDGETING,
  POWER_MANAGEMENT,
  STATUS_CAPABILITIES,
  shown,
  VITAL_PRODUCT_DATA,
  vendors,
} from "./config-perms.ts";

/** A capability, or the header. */
export interface Region {
  readonly start: number;
  readonly length: number;
  readonly permissions: Permissions;
}

/** See the file's comment. */
export interface ConfigLayout {
  /** By byte; null where nothing is known to be. */
  readonly regions: readonly (Region | null)[];
  /** The function's own registers, and their bits that keep what is written, or null where nobody knows. */
  readonly physical: Uint8Array;
  readonly keeps: Uint8Array | null;
  /** The bytes of the user's copy when the function is opened, as far as they follow from the layout. */
  readonly virtual: Uint8Array;
  /** Whether a capability was left out of a list, and whether that was the first of the extended ones. */
  readonly hidden: boolean;
  readonly hiddenFirst: boolean;
}

/** Length and permissions of a capability; null where users do not see it. */
type Shape = { readonly length: number; readonly permissions: Permissions } | null;

const HEADER_SIZE = 0x40;
const SPACE = 0x100;
const ID = {
  PM: 1,
  AGP: 2,
  VPD: 3,
  MSI: 5,
  PCIX: 7,
  HT: 8,
  VENDOR: 9,
  EXPRESS: 0x10,
  MSIX: 0x11,
  SATA: 0x12,
  AF: 0x13,
};
const ROOT_COMPLEX_ENDPOINT = 9;

const fixed = (length: number, permissions: Permissions): Shape => ({ length, permissions });
const plain = (length: number, extended: boolean): Shape => ({ length, permissions: shown(length, extended) });

/** vfio_cap_len, and the table of lengths */
function capability(config: DataView, id: number, at: number): Shape {
  const byte = (offset: number): number => config.getUint8(at + offset);
  const word = (offset: number): number => config.getUint16(at + offset, true);
  switch (id) {
    case ID.PM:
      return fixed(8, POWER_MANAGEMENT);
    case ID.AGP:
      return plain(12, false);
    case ID.VPD:
      return fixed(8, VITAL_PRODUCT_DATA);
    case ID.MSI:
      return messageSignalled(word(MSI.CONTROL));
    case ID.PCIX:
      return fixed(((word(2) >> 12) & 3) === 0 ? 8 : 24, PCI_X);
    case ID.HT:
      return plain((byte(3) & 0xe0) === 0 ? 28 : 24, false);
    case ID.VENDOR:
      return { length: byte(2), permissions: vendors(byte(2), false) };
    case ID.EXPRESS:
      return fixed(expressLength(word(2)), PCI_EXPRESS);
    case ID.MSIX:
      return plain(12, false);
    case ID.SATA:
      return plain((byte(4) & 0xf) === 0xf ? 16 : 8, false);
    case ID.AF:
      return fixed(6, ADVANCED_FEATURES);
    default:
      return null;
  }
}

function expressLength(flags: number): number {
  const linkless = ((flags >> 4) & 0xf) === ROOT_COMPLEX_ENDPOINT;
  if ((flags & 0xf) === 1) return linkless ? 0x0c : 0x14;
  return linkless ? 0x2c : 0x34;
}

/** vfio_ext_cap_len, and the table of lengths. Capabilities that a vendor designates are known since 6.4. */
function extendedCapability(config: DataView, id: number, at: number, knowsDvsec: boolean): Shape {
  const word = (offset: number): number => config.getUint32(at + offset, true);
  switch (id) {
    case 0x01:
      return fixed(0x2c, ERROR_REPORTING);
    case 0x02:
    case 0x08:
    case 0x09:
      return plain(virtualChannels(word(4), word(8)), true);
    case 0x03:
      return plain(12, true);
    case 0x04:
      return fixed(0x10, POWER_BUDGETING);
    case 0x0b:
      return { length: word(4) >>> 20, permissions: vendors(word(4) >>> 20, true) };
    case 0x0d:
      return plain(accessControl(word(4)), true);
    case 0x0e:
    case 0x0f:
    case 0x18:
      return plain(8, true);
    case 0x10:
      return plain(0x40, true);
    case 0x12:
      return plain(40, true);
    case 0x13:
      return plain(16, true);
    case 0x15:
      return plain(4 + 8 * ((word(8) >> 5) & 7), true);
    case 0x16:
      return plain(17 + (word(4) & 0x1f), true);
    case 0x17:
      return plain(12 + ((word(4) & 0x600) === 0x200 ? 2 * ((word(4) >> 16) & 0x7ff) + 2 : 0), true);
    case 0x23:
      return knowsDvsec ? { length: word(4) >>> 20, permissions: vendors(word(4) >>> 20, true) } : null;
    default:
      return null;
  }
}

/** Virtual channels: their own words, and behind them the table by which they take turns. */
function virtualChannels(first: number, second: number): number {
  const length = 0x10 + 0x0c * (1 + (first & 7));
  const phases = second & 8 ? 128 : second & 4 ? 64 : second & 2 ? 32 : 0;
  return phases === 0 ? length : ((length + 15) & ~15) + phases / 2;
}

/** Access control: with a vector of egress bits where it has such. */
function accessControl(word: number): number {
  if ((word & 0x20) === 0) return 8;
  const bits = (word >> 8) & 0xff;
  return 8 + (bits === 0 ? 256 : (bits + 31) & ~31) / 8;
}

class Builder implements ConfigLayout {
  readonly physical: Uint8Array;
  readonly keeps: Uint8Array | null;
  readonly regions: (Region | null)[];
  readonly virtual: Uint8Array;
  readonly #config: DataView;
  readonly #view: DataView;
  hidden = false;
  hiddenFirst = false;

  constructor(config: Uint8Array, keeps: Uint8Array | null) {
    this.physical = config;
    this.keeps = keeps;
    this.regions = Array.from({ length: config.length }, () => null);
    this.virtual = config.slice();
    // Lists that lead past the end find zeros there.
    const padded = new Uint8Array(config.length + 16);
    padded.set(config);
    this.#config = new DataView(padded.buffer);
    this.#view = new DataView(this.virtual.buffer);
    this.#place(0, { length: HEADER_SIZE, permissions: HEADER });
  }

  #place(start: number, { length, permissions }: NonNullable<Shape>): void {
    const region = { start, length, permissions };
    this.regions.fill(region, start, start + length);
  }

  /** vfio_cap_init; whether there may be extended capabilities. */
  capabilities(): boolean {
    const config = this.#config;
    if ((config.getUint8(6) & STATUS_CAPABILITIES) === 0) return false;
    let extended = false;
    let shownAny = false;
    let before = CAPABILITIES_AT;
    let at = config.getUint8(CAPABILITIES_AT);
    for (let left = (SPACE - HEADER_SIZE) / 4; at !== 0 && left > 0; left--) {
      const id = config.getUint8(at);
      const next = config.getUint8(at + 1);
      const shape = capability(config, id, at);
      if (!shape || shape.length === 0) {
        this.hidden = true;
        this.virtual[before] = next;
      } else {
        if (id === ID.EXPRESS || (id === ID.PCIX && shape.length > 8)) {
          extended = this.virtual.length > SPACE && config.getUint32(SPACE, true) !== 0;
        }
        this.#place(at, shape);
        if (id === ID.PM) this.#hidePme(at);
        before = at + 1;
        shownAny = true;
      }
      at = next;
    }
    if (!shownAny) this.virtual[6] = (this.virtual[6] ?? 0) & ~STATUS_CAPABILITIES;
    return extended;
  }

  /** vfio_update_pm_vconfig_bytes: wake-up events are the host's. */
  #hidePme(at: number): void {
    const view = this.#view;
    view.setUint16(at + PM.CAPABILITIES, view.getUint16(at + PM.CAPABILITIES, true) & ~PM.PME_SUPPORT, true);
    view.setUint16(at + PM.CONTROL, view.getUint16(at + PM.CONTROL, true) & ~PM.PME, true);
  }

  /** OPREGION_PCI_ADDR, where firmware leaves the OpRegion's address: shown to users, and not for them to change. */
  opRegionAddress(): void {
    this.#place(0xfc, { length: 4, permissions: shown(4, false) });
  }

  /** vfio_ecap_init */
  extendedCapabilities(knowsDvsec: boolean): void {
    const view = this.#view;
    let before = 0;
    let shownAny = false;
    let at = SPACE;
    for (let left = (this.virtual.length - SPACE) / 4; at >= SPACE && left > 0; left--) {
      const head = this.#config.getUint32(at, true);
      const next = (head >>> 20) & 0xffc;
      const shape = extendedCapability(this.#config, head & 0xffff, at, knowsDvsec);
      const isHidden = !shape || shape.length === 0;
      if (isHidden) this.hidden = true;
      if (isHidden && before !== 0) {
        view.setUint32(before, ((view.getUint32(before, true) & 0x000f_ffff) | (next << 20)) >>> 0, true);
      } else {
        this.#place(at, isHidden ? { length: 4, permissions: shown(4, true) } : shape);
        // The list begins here, whatever is there: only the pointer is left.
        if (isHidden) view.setUint32(at, (head & 0xffc0_0000) >>> 0, true);
        if (isHidden) this.hiddenFirst = true;
        else shownAny = true;
        before = at;
      }
      at = next;
    }
    if (!shownAny) view.setUint32(SPACE, 0, true);
  }
}

/** vfio_config_init, as far as it depends on nothing but the function's registers. */
function layOut({ config, configKeeps, configSize, traits }: FunctionSpec, knowsDvsec: boolean): ConfigLayout {
  const builder = new Builder(
    parseRegisters(config, configSize),
    configKeeps === null ? null : parseRegisters(configKeeps, configSize),
  );
  if (builder.capabilities()) builder.extendedCapabilities(knowsDvsec);
  if (traits?.kind === "igd" && traits.opRegion) builder.opRegionAddress();
  return builder;
}

const layouts = [new WeakMap<FunctionSpec, ConfigLayout>(), new WeakMap<FunctionSpec, ConfigLayout>()] as const;

/** The layout of a function, made once for all machines that have it. */
export function layoutOf(spec: FunctionSpec, knowsDvsec: boolean): ConfigLayout {
  const known = layouts[knowsDvsec ? 1 : 0];
  let layout = known.get(spec);
  if (!layout) {
    layout = layOut(spec, knowsDvsec);
    known.set(spec, layout);
  }
  return layout;
}

/** Bits of each byte that go to the function as a user writes them. */
export function passing(spec: FunctionSpec): Uint8Array {
  const { regions } = layoutOf(spec, true);
  return Uint8Array.from(regions, (region, at) => passes(region, at));
}

/** Bits of a byte that go to the function as they are written. */
export function passes(region: Region | null, at: number): number {
  if (!region) return 0xff;
  const { writable, virtual } = region.permissions;
  if (writable === null) return 0;
  if (writable === "raw") return 0xff;
  return (writable[at - region.start] ?? 0) & ~(virtual[at - region.start] ?? 0) & 0xff;
}
