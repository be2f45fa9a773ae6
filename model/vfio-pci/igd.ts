/**
 * Intel graphics: what its driver looks for outside the function, as regions of its own that can be read. Beside
 * drivers/vfio/pci/vfio_pci_igd.c.
 */
import { type Clause, clauses, must, refuse } from "../kernel/clause.ts";
import type { Transfer } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { PciFunction } from "../pci/function.ts";
import { parseRegisters } from "../pci/register-text.ts";
import type { IgdTraits } from "../pci/traits.ts";
import { REGION_FLAGS } from "../vfio/device-info.ts";
import type { DeviceRegion } from "./core-device.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_igd.c:${name}`;
const variants = { machine: "variants" } as const;

export const rule = clauses({
  "IGD-REGION-1": {
    ...variants,
    rule: "the OpRegion of firmware is a region of Intel's type, its extended table behind it",
    source: source("vfio_pci_igd_opregion_init"),
    observable: "output",
  },
  "IGD-REGION-2": {
    ...variants,
    rule: "the configuration spaces of host bridge and LPC bridge are regions of Intel's type, where there is an OpRegion",
    source: source("vfio_pci_igd_cfg_init"),
    observable: "output",
  },
  "IGD-RW-1": {
    ...variants,
    rule: "these regions are read from in them",
    errno: "EINVAL",
    source: source("vfio_pci_igd_rw"),
  },
  "IGD-RW-2": { ...variants, rule: "none of them can be written", errno: "EINVAL", source: source("vfio_pci_igd_rw") },
  "IGD-RW-3": { ...variants, rule: "the buffer must be writable", errno: "EFAULT", source: source("vfio_pci_igd_rw") },
  "IGD-RW-4": {
    ...variants,
    rule: "a read ends where the region does",
    source: source("vfio_pci_igd_rw"),
    observable: "output",
  },
  "IGD-OPREGION-1": {
    ...variants,
    rule: "a 2.0 with an extended table reads as a 2.1, which has the table's place relative to its own begin",
    source: source("vfio_pci_igd_rw"),
    observable: "output",
  },
});

const INTEL = 0x8086;
const DISPLAY_CLASS = 0x03;
const VGA_CLASS = 0x0300;
/** VFIO_REGION_TYPE_PCI_VENDOR_TYPE */
const VENDOR_TYPE = 0x8000_0000;
const SUBTYPE = { OPREGION: 1, HOST_CFG: 2, LPC_CFG: 3 } as const;
const SIGNATURE = "IntelGraphicsMem";
/** Where in an OpRegion its size, its version and its extended table's place and size stand. */
const AT = { SIZE: 0x10, VERSION: 0x16, RVDA: 0x3ba, RVDS: 0x3c2 } as const;
const OPREGION_SIZE = 8192;
const BRIDGE_SIZE = 256;

/** vfio_pci_is_intel_display; before 7.0 only what draws like a VGA card counted. */
const isIntelDisplay = (k: Kernel, { vendor, class: of }: PciFunction["spec"]): boolean =>
  vendor === INTEL && (k.since("7.0") ? of >> 16 === DISPLAY_CLASS : of >> 8 === VGA_CLASS);

/** An OpRegion as a user reads it. */
function opRegionBytes({ version, size, extendedTable }: NonNullable<IgdTraits["opRegion"]>): Uint8Array {
  const bytes = new Uint8Array(size + extendedTable);
  bytes.set(Buffer.from(SIGNATURE));
  const view = new DataView(bytes.buffer);
  view.setUint32(AT.SIZE, size / 1024, true);
  view.setUint16(AT.VERSION, version === 0x0200 && extendedTable > 0 ? 0x0201 : version, true);
  if (extendedTable > 0) {
    view.setBigUint64(AT.RVDA, BigInt(OPREGION_SIZE), true);
    view.setUint32(AT.RVDS, extendedTable, true);
  }
  return bytes;
}

/** A region of Intel's with what can be read of it. */
function readOnly(subtype: number, bytes: Uint8Array, told: Clause | null): DeviceRegion {
  return {
    type: VENDOR_TYPE + INTEL,
    subtype,
    size: bytes.length,
    flags: REGION_FLAGS.READ,
    capabilities: [],
    *read(k, io, offset) {
      return k.igd.read(k, bytes, io, offset, told);
    },
    *write(k) {
      return k.igd.write();
    },
  };
}

export const steps = {
  /** vfio_pci_igd_init, at every open: a display without an OpRegion, or beside bridges of another vendor, has less or nothing. */
  init(k: Kernel, { spec, regions }: PciFunction): void {
    const { traits } = spec;
    if (traits?.kind !== "igd" || !isIntelDisplay(k, spec) || !traits.opRegion) return;
    const patched = traits.opRegion.version === 0x0200 && traits.opRegion.extendedTable > 0;
    const told = patched ? rule["IGD-OPREGION-1"] : null;
    regions.push(readOnly(SUBTYPE.OPREGION, opRegionBytes(traits.opRegion), told));
    k.keeps(rule["IGD-REGION-1"]);
    for (const [subtype, text] of [
      [SUBTYPE.HOST_CFG, traits.hostBridge],
      [SUBTYPE.LPC_CFG, traits.lpcBridge],
    ] as const) {
      if (text === null) return;
      regions.push(readOnly(subtype, parseRegisters(text, BRIDGE_SIZE), null));
      k.keeps(rule["IGD-REGION-2"]);
    }
  },

  /** vfio_pci_igd_rw, and vfio_pci_igd_cfg_rw */
  read(k: Kernel, bytes: Uint8Array, { block, count: asked }: Transfer, offset: number, told: Clause | null): number {
    must(offset < bytes.length, rule["IGD-RW-1"]);
    const count = Math.min(asked, bytes.length - offset);
    const image = block.bytes.slice();
    image.set(bytes.subarray(offset, offset + count));
    block.copyTo(image, 0, count, rule["IGD-RW-3"]);
    if (count < asked) k.keeps(rule["IGD-RW-4"]);
    if (told && offset <= AT.VERSION && AT.VERSION < offset + count) k.keeps(told);
    return count;
  },

  write(): number {
    return refuse(rule["IGD-RW-2"]);
  },
};
