/** Registers that a driver answers for in place of the library. Beside vfio_pci_core.c:vfio_pci_core_range_intersect_range. */
import type { Transfer } from "../../kernel/file.ts";
import { PCI_REGION, REGION_SIZE } from "../../vfio/device-info.ts";

/** A register: where in the configuration space, and its bytes. */
export interface Register {
  readonly at: number;
  readonly bytes: Uint8Array;
}

export const inConfig = (position: number): boolean => Math.floor(position / REGION_SIZE) === PCI_REGION.CONFIG;

/** A register of so many bytes, little endian. */
export function register(at: number, width: 1 | 2 | 4 | 8, value: number | bigint): Register {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return { at, bytes: bytes.subarray(0, width) };
}

/** Puts registers over what a read has brought, as far as they lie in it. */
export function overlay({ block, count }: Transfer, position: number, registers: readonly Register[]): void {
  const begin = position % REGION_SIZE;
  for (const { at, bytes } of registers) {
    for (const [i, byte] of bytes.entries()) {
      const offset = at + i - begin;
      if (offset >= 0 && offset < count) block.bytes[offset] = byte;
    }
  }
}

/** Takes what a write brings for a register; whether it brings anything. */
export function takeWritten({ block, count }: Transfer, position: number, { at, bytes }: Register): boolean {
  const begin = position % REGION_SIZE;
  let touched = false;
  for (let i = 0; i < bytes.length; i++) {
    const offset = at + i - begin;
    if (offset < 0 || offset >= count) continue;
    bytes[i] = block.bytes[offset] ?? 0;
    touched = true;
  }
  return touched;
}
