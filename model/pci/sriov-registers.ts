/** The SR-IOV capability of a physical function. Beside include/uapi/linux/pci_regs.h. */

/** Offsets in the capability. */
export const SRIOV = {
  CONTROL: 0x08,
  TOTAL_VFS: 0x0e,
  NUM_VFS: 0x10,
  VF_OFFSET: 0x14,
  VF_STRIDE: 0x16,
  BARS: 0x24,
} as const;
/** Bits of its control: virtual functions are there, and their memory answers. */
export const VFS_ENABLED = 0x09;

const ID = 0x10;
/** Where extended capabilities begin. */
const EXTENDED = 0x100;

/** Where the capability is in configuration space, or 0. */
export function sriovAt(config: Uint8Array): number {
  const view = new DataView(config.buffer, config.byteOffset, config.length);
  for (let at = EXTENDED; at + 4 <= config.length; ) {
    const head = view.getUint32(at, true);
    if ((head & 0xffff) === ID) return at;
    const next = head >>> 20;
    if (next <= at) break;
    at = next;
  }
  return 0;
}
