/** Expansion ROMs: how much of one is images, and the one that the suite puts into a function. Beside drivers/pci/rom.c. */

import type { FunctionSpec } from "../topology.ts";
import { parseRegisters } from "./register-text.ts";

const roms = new WeakMap<FunctionSpec, Uint8Array>();

/** What the ROM of a function holds; null where nobody knows. */
export function romOf(spec: FunctionSpec): Uint8Array | null {
  if (spec.rom === null) return null;
  let rom = roms.get(spec);
  if (!rom) {
    rom = parseRegisters(spec.rom, spec.bars[ROM_BAR]?.size ?? 0);
    roms.set(spec, rom);
  }
  return rom;
}

/** Where a function's ROM stands behind its BARs. */
const ROM_BAR = 6;
/** Bytes that images are measured in. */
const SECTOR = 512;
/** Where an image says where its data structure is, and what that begins with. */
const DATA_POINTER = 0x18;
const HEADER_SIGNATURE = 0xaa55;
const DATA_SIGNATURE = 0x5249_4350;
/** Offsets in the data structure (PCI Firmware 3.3, 5.1.3). */
const DATA = { LENGTH: 0x0a, SECTORS: 0x10, CODE_TYPE: 0x14, INDICATOR: 0x15, SIZE: 0x18 } as const;
const LAST = 0x80;
/** Open Firmware: no firmware of a PC runs such code. */
const CODE_OF_OTHERS = 1;

/** pci_get_rom_size: bytes of all images together; 0 where there is none. */
export function imagesSize(rom: Uint8Array): number {
  const view = new DataView(rom.buffer, rom.byteOffset, rom.length);
  for (let at = 0; ; ) {
    if (at + DATA_POINTER + 2 > rom.length || view.getUint16(at, true) !== HEADER_SIGNATURE) return at;
    const data = at + view.getUint16(at + DATA_POINTER, true);
    if (data + DATA.SIZE > rom.length || view.getUint32(data, true) !== DATA_SIGNATURE) return at;
    const length = view.getUint16(data + DATA.SECTORS, true) * SECTOR;
    at += length;
    if (length === 0 || (view.getUint8(data + DATA.INDICATOR) & LAST) !== 0) return Math.min(at, rom.length);
  }
}

/** Bytes of the ROM that the suite makes: two images, and something behind them. */
export const ROM_SIZE = 8192;
const IMAGES = [3, 2] as const;

/** A ROM for a function with these ids. Every byte tells where it is, as far as it is free to. */
export function makeRom(vendor: number, device: number): Uint8Array {
  const rom = Uint8Array.from({ length: ROM_SIZE }, (_, at) => (at * 7 + (at >> 8)) & 0xff);
  const view = new DataView(rom.buffer);
  let begin = 0;
  for (const [index, sectors] of IMAGES.entries()) {
    const data = begin + 0x1c;
    view.setUint16(begin, HEADER_SIGNATURE, true);
    view.setUint8(begin + 2, sectors);
    view.setUint16(begin + DATA_POINTER, data - begin, true);
    view.setUint32(data, DATA_SIGNATURE, true);
    view.setUint16(data + 4, vendor, true);
    view.setUint16(data + 6, device, true);
    view.setUint16(data + DATA.LENGTH, DATA.SIZE, true);
    view.setUint16(data + DATA.SECTORS, sectors, true);
    view.setUint8(data + DATA.CODE_TYPE, CODE_OF_OTHERS);
    view.setUint8(data + DATA.INDICATOR, index === IMAGES.length - 1 ? LAST : 0);
    begin += sectors * SECTOR;
  }
  return rom;
}
