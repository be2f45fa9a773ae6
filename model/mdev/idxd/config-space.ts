/**
 * The configuration space of a virtual accelerator: an integrated endpoint with MSI-X, address translation, page requests and
 * PASIDs. Beside the series' vidxd_cfg_read and vidxd_cfg_write.
 */
import { clauses, must } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { BAR0_SIZE, BAR2_SIZE, STATE, VECTORS } from "./registers.ts";
import { IDXD, RW_MAIL, spec } from "./sources.ts";
import type { VirtualDsa } from "./virtual-device.ts";

export const rule = clauses({
  "IDXD-CONFIG-1": {
    ...IDXD,
    rule: "the command register is written by itself, not with the status behind it",
    errno: "EINVAL",
    partial: true,
    source: RW_MAIL,
  },
  "IDXD-CONFIG-2": {
    ...IDXD,
    rule: "a base address is written as a whole",
    errno: "EINVAL",
    partial: true,
    source: RW_MAIL,
  },
  "IDXD-CONFIG-3": {
    ...IDXD,
    rule: "a base address keeps the bits that the size of its region leaves: all ones written tell the size",
    source: RW_MAIL,
    observable: "later-call",
  },
  "IDXD-CONFIG-4": {
    ...IDXD,
    rule: "what identifies the device, and its capabilities but for what controls them, keeps its value whatever is written",
    source: spec("PCI Configuration Registers"),
    observable: "later-call",
  },
  "IDXD-CONFIG-5": {
    ...IDXD,
    rule: "bus mastering that is turned off while the device is enabled halts it, and is told of as a software error",
    source: RW_MAIL,
    observable: "later-call",
  },
  "IDXD-CONFIG-6": {
    ...IDXD,
    rule: "what lies behind the configuration space is refused; what came before is done",
    errno: "EINVAL",
    partial: true,
    source: RW_MAIL,
  },
});

export const CONFIG_SPACE = 4096;
const INTEL = 0x8086;
const DSA_SPR0 = 0x0b25;

/** Offsets in configuration space. */
export const PCI = { COMMAND: 0x04, STATUS: 0x06, BAR0: 0x10, BAR2: 0x18, BARS_END: 0x28, MSIX: 0x40 } as const;
const EXPRESS = 0x50;
const ATS = 0x100;
const PAGE_REQUEST = 0x110;
const PASID = 0x120;
/** Where users turn the capabilities on. */
export const CONTROL = { ATS: ATS + 6, PAGE_REQUEST: PAGE_REQUEST + 4, PASID: PASID + 6 } as const;
const BUS_MASTER = 4;

/** A BAR of memory that may lie above 4 GiB and is prefetchable. */
const BAR_TYPE = 0xc;
const ALL_ONES = 0xffff_ffff;

/** Bits that users may write, by byte; none where there is no entry. */
const WRITABLE = new Map<number, number>([
  [PCI.COMMAND, 0xff],
  [PCI.COMMAND + 1, 0x07],
  [0x0c, 0xff],
  [0x3c, 0xff],
  // Function mask and enable of MSI-X, and device control.
  [PCI.MSIX + 3, 0xc0],
  [EXPRESS + 8, 0xff],
  [EXPRESS + 9, 0xff],
  [CONTROL.ATS, 0x1f],
  [CONTROL.ATS + 1, 0x80],
  [CONTROL.PAGE_REQUEST, 0x01],
  [PAGE_REQUEST + 12, 0xff],
  [PAGE_REQUEST + 13, 0xff],
  [PAGE_REQUEST + 14, 0xff],
  [PAGE_REQUEST + 15, 0xff],
  [CONTROL.PASID, 0x05],
]);
/** Bits that are cleared by writing them. */
const CLEARED = new Map<number, number>([
  [PCI.STATUS + 1, 0xf9],
  [PAGE_REQUEST + 6, 0x03],
]);

/** The space of a new device. */
export function newConfigSpace(): Uint8Array {
  const config = new Uint8Array(CONFIG_SPACE);
  const view = new DataView(config.buffer);
  view.setUint16(0x00, INTEL, true);
  view.setUint16(0x02, DSA_SPR0, true);
  // There is a list of capabilities; a base system peripheral.
  view.setUint16(PCI.STATUS, 0x0010, true);
  view.setUint32(0x08, 0x0880_0000, true);
  view.setUint8(0x0e, 0x80);
  view.setUint32(PCI.BAR0, BAR_TYPE, true);
  view.setUint32(PCI.BAR2, BAR_TYPE, true);
  view.setUint16(0x2c, INTEL, true);
  view.setUint16(0x2e, 0x2010, true);
  view.setUint8(0x34, PCI.MSIX);
  view.setUint8(0x3c, 0xff);
  // MSI-X: as many entries, table and pending bits in BAR 0.
  view.setUint16(PCI.MSIX, 0x11 | (EXPRESS << 8), true);
  view.setUint16(PCI.MSIX + 2, VECTORS - 1, true);
  view.setUint32(PCI.MSIX + 4, 0x600, true);
  view.setUint32(PCI.MSIX + 8, 0x700, true);
  // PCI Express, an integrated endpoint.
  view.setUint32(EXPRESS, 0x0092_0010, true);
  view.setUint32(EXPRESS + 0x24, 0x0070_0010, true);
  view.setUint32(ATS, 0x1101_000f, true);
  view.setUint16(ATS + 4, 0x0061, true);
  // Page requests are stopped; they need PASIDs, and one may be outstanding.
  view.setUint32(PAGE_REQUEST, 0x1201_0013, true);
  view.setUint16(PAGE_REQUEST + 6, 0x8100, true);
  view.setUint32(PAGE_REQUEST + 8, 1, true);
  // PASIDs of 20 bits, privileged ones too.
  view.setUint32(PASID, 0x0001_001b, true);
  view.setUint16(PASID + 4, 0x1404, true);
  return config;
}

/** Whether a user has turned a capability, or bus mastering, on. */
export const enabled = {
  busMaster: (config: Uint8Array): boolean => ((config[PCI.COMMAND] ?? 0) & BUS_MASTER) !== 0,
  ats: (config: Uint8Array): boolean => ((config[CONTROL.ATS + 1] ?? 0) & 0x80) !== 0,
  pageRequests: (config: Uint8Array): boolean => ((config[CONTROL.PAGE_REQUEST] ?? 0) & 1) !== 0,
  pasid: (config: Uint8Array): boolean => ((config[CONTROL.PASID] ?? 0) & 1) !== 0,
};

export const configSteps = {
  /** vidxd_cfg_read, of up to four bytes. */
  readConfig(device: VirtualDsa, offset: number, width: 1 | 2 | 4): number {
    must(offset + width <= CONFIG_SPACE, rule["IDXD-CONFIG-6"]);
    const view = new DataView(device.config.buffer);
    if (width === 4) return view.getUint32(offset, true);
    return width === 2 ? view.getUint16(offset, true) : view.getUint8(offset);
  },

  /** vidxd_cfg_write */
  writeConfig(k: Kernel, device: VirtualDsa, offset: number, width: 1 | 2 | 4, value: number): void {
    must(offset + width <= CONFIG_SPACE, rule["IDXD-CONFIG-6"]);
    if (offset === PCI.COMMAND) {
      must(width <= 2, rule["IDXD-CONFIG-1"]);
      const before = enabled.busMaster(device.config);
      writeBytes(device.config, offset, width, value);
      if (before && !enabled.busMaster(device.config)) k.idxd.loseBusMaster(k, device);
      return;
    }
    if (offset >= PCI.BAR0 && offset < PCI.BARS_END) {
      must(width === 4, rule["IDXD-CONFIG-2"]);
      k.idxd.writeBar(k, device, offset, value);
      return;
    }
    writeBytes(device.config, offset, width, value);
    k.keeps(rule["IDXD-CONFIG-4"]);
  },

  /** _pci_cfg_bar_write: the two regions have 64 bits of address each; the third pair is not there. */
  writeBar(k: Kernel, { config }: VirtualDsa, offset: number, value: number): void {
    const view = new DataView(config.buffer);
    const isLow = (offset & 4) === 0;
    const size = offset < PCI.BAR2 ? BAR0_SIZE : offset < PCI.BAR2 + 8 ? BAR2_SIZE : 0;
    if (size === 0) return;
    view.setUint32(offset, isLow ? k.idxd.addressBits(value, size) | BAR_TYPE : value, true);
    if (value === ALL_ONES) k.keeps(rule["IDXD-CONFIG-3"]);
  },

  /** What a base address keeps of what is written, for a region of so many bytes. */
  addressBits(value: number, size: number): number {
    return value & ~(size - 1);
  },

  /** vidxd_report_pci_error, where the device is enabled */
  loseBusMaster(k: Kernel, device: VirtualDsa): void {
    if (device.state !== STATE.ENABLED) return;
    k.idxd.halt(k, device);
    k.keeps(rule["IDXD-CONFIG-5"]);
  },
};

/** _pci_cfg_mem_write */
function writeBytes(config: Uint8Array, offset: number, width: number, value: number): void {
  for (let i = 0; i < width; i++) {
    const at = offset + i;
    const byte = (value >>> (8 * i)) & 0xff;
    const writable = WRITABLE.get(at) ?? 0;
    const old = config[at] ?? 0;
    config[at] = ((old & ~writable) | (byte & writable)) & ~(byte & (CLEARED.get(at) ?? 0));
  }
}
