/**
 * Configuration spaces of functions that have drivers of their own: a header, power of PCI Express with a reset of the function
 * alone, MSI-X where it has any. Small, and made up; vendors, devices and BARs are those of the hardware.
 */
import { formatRegisters } from "./pci/register-text.ts";
import type { Bar, FunctionSpec } from "./topology.ts";

/** A BAR of memory that takes two places, prefetchable or not. */
export const wide = (size: number): Bar => ({ size, memory: true, mappable: size >= 4096 });
export const ioPorts = (size: number): Bar => ({ size, memory: false, mappable: false });

/** What a configuration space is made from. */
export interface ConfigParts {
  readonly vendor: number;
  readonly device: number;
  readonly class: number;
  readonly revision: number;
  readonly subvendor: number;
  readonly subdevice: number;
  readonly bars: readonly (Bar | null)[];
  readonly express: boolean;
  /** Vectors, and the BAR that their table is in. */
  readonly msix: { readonly vectors: number; readonly bar: number } | null;
  readonly intx: boolean;
  /** Registers besides, by offset: 32 bits each. */
  readonly more?: readonly (readonly [at: number, value: number])[];
}

const CAPABILITIES = 0x10;
const EXPRESS_AT = 0x40;
const MSIX_AT = 0x80;
/** An endpoint of the second version that can reset its function, with errors told by role. */
const ENDPOINT = 0x0002;
const FUNCTION_RESET = 0x1000_8000;
/** A memory BAR of 64 bits that is prefetchable; an I/O BAR. */
const WIDE_PREFETCHABLE = 0xc;
const IO_SPACE = 1;
/** Where hosts put the BARs of the suite's machine. */
const BARS_FROM = 0xe000_0000;
const PORTS_FROM = 0xc000;

/** Memory, I/O where there is any, and bus mastering: what keeps what is written. */
const keepsOf = (bars: readonly (Bar | null)[]): string =>
  bars.slice(0, 6).some((bar) => bar && !bar.memory) ? "4:0700 c:ff" : "4:0600 c:ff";

/** The registers as text, and which of them keep what is written. */
export function configOf(parts: ConfigParts): Pick<FunctionSpec, "config" | "configKeeps" | "configSize"> {
  const configSize = parts.express ? 4096 : 256;
  const bytes = new Uint8Array(configSize);
  const view = new DataView(bytes.buffer);
  view.setUint16(0x00, parts.vendor, true);
  view.setUint16(0x02, parts.device, true);
  view.setUint32(0x08, ((parts.class << 8) | parts.revision) >>> 0, true);
  for (const [index, bar] of parts.bars.slice(0, 6).entries()) {
    if (!bar) continue;
    const base = bar.memory ? (BARS_FROM | WIDE_PREFETCHABLE) >>> 0 : PORTS_FROM | IO_SPACE;
    view.setUint32(0x10 + 4 * index, base, true);
  }
  view.setUint16(0x2c, parts.subvendor, true);
  view.setUint16(0x2e, parts.subdevice, true);
  if (parts.intx) bytes.set([0x0b, 0x01], 0x3c);
  const list = [...(parts.express ? [EXPRESS_AT] : []), ...(parts.msix ? [MSIX_AT] : [])];
  if (list.length > 0) {
    view.setUint16(0x06, CAPABILITIES, true);
    bytes[0x34] = list[0] ?? 0;
  }
  if (parts.express) {
    bytes.set([0x10, parts.msix ? MSIX_AT : 0], EXPRESS_AT);
    view.setUint16(EXPRESS_AT + 2, ENDPOINT, true);
    view.setUint32(EXPRESS_AT + 4, FUNCTION_RESET, true);
  }
  if (parts.msix) {
    bytes[MSIX_AT] = 0x11;
    view.setUint16(MSIX_AT + 2, parts.msix.vectors - 1, true);
    view.setUint32(MSIX_AT + 4, parts.msix.bar, true);
    view.setUint32(MSIX_AT + 8, 0x800 | parts.msix.bar, true);
  }
  for (const [at, value] of parts.more ?? []) view.setUint32(at, value, true);
  return { config: formatRegisters(bytes), configKeeps: keepsOf(parts.bars), configSize };
}
