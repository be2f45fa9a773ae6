/** Where a function has its MSI-X table: what of struct vfio_pci_core_device is about that. */
import { parseRegisters } from "../pci/register-text.ts";
import type { FunctionSpec } from "../topology.ts";
import { CAPABILITIES_AT, MSIX } from "./config-perms.ts";

/** Bytes of a BAR, from the first to the one behind the last. */
export interface BarRange {
  readonly from: number;
  readonly to: number;
}

/** Where the capability has the table, and the bits of that word which are not the offset but the BAR. */
const TABLE = 4;
const TABLE_BAR = 7;
const ENTRY_SIZE = 16;
const NOTHING: BarRange = { from: 0, to: 0 };

const tables = new WeakMap<FunctionSpec, BarRange>();

/** The table of a function, in that BAR; nothing where it is not there. */
export function msixTableIn(spec: FunctionSpec, bar: number): BarRange {
  if (bar !== spec.msixBar) return NOTHING;
  let table = tables.get(spec);
  if (!table) {
    const config = new DataView(parseRegisters(spec.config, spec.configSize).buffer);
    let at = config.getUint8(CAPABILITIES_AT);
    while (config.getUint8(at) !== MSIX.ID) at = config.getUint8(at + 1);
    const from = config.getUint32(at + TABLE, true) & ~TABLE_BAR;
    table = { from, to: from + ENTRY_SIZE * spec.msix };
    tables.set(spec, table);
  }
  return table;
}
