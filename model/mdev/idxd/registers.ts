/**
 * Registers of an Intel Data Streaming Accelerator, and where a virtual one has its tables. Beside
 * drivers/dma/idxd/registers.h; where the tables lie is what "[PATCH v6 13/20] vfio/mdev: idxd: add mdev driver
 * registration and helper functions" (May 2021) chose.
 */

/** Bytes of BAR 0 (registers), and of BAR 2 (two portals). */
export const BAR0_SIZE = 0x2000;
export const BAR2_SIZE = 0x2000;

/** Offsets in BAR 0. */
export const REG = {
  VERSION: 0x00,
  GENCAP: 0x10,
  WQCAP: 0x20,
  GRPCAP: 0x30,
  ENGCAP: 0x38,
  OPCAP: 0x40,
  TABLE_OFFSET: 0x60,
  GENCFG: 0x80,
  GENCTRL: 0x88,
  GENSTS: 0x90,
  INTCAUSE: 0x98,
  CMD: 0xa0,
  CMDSTS: 0xa8,
  CMDCAP: 0xb0,
  SWERR: 0xc0,
  MSIX_PERM: 0x300,
  GRPCFG: 0x400,
  WQCFG: 0x500,
  MSIX_TABLE: 0x600,
  MSIX_PBA: 0x700,
} as const;

/** Everything behind is zero, and stays so. */
export const REGISTERS_END = REG.MSIX_PBA + 8;

/** Work queues that a virtual device has, and vectors: one for the device itself, and one for each queue. */
export const QUEUES = 1;
export const VECTORS = 2;

/** The unit that TABLE_OFFSET counts in. */
export const TABLE_UNIT = 0x100;
/** Bytes of one entry of each table. */
export const WQCFG_SIZE = 32;
export const MSIX_ENTRY = 16;
export const MSIX_PERM_ENTRY = 8;

/** States of the device: GENSTS. */
export const STATE = { DISABLED: 0, ENABLED: 1, DRAIN: 2, HALT: 3 } as const;
/** What brings a device out of HALT, in GENSTS as well. */
export const RESET_TYPE_FLR = 1 << 2;

/** Bits of GENCFG, GENCTRL and INTCAUSE. */
export const GENCFG_USER_INT = 1 << 12;
export const GENCTRL = { SOFTERR_INT: 1, HALT_INT: 2 } as const;
export const INTCAUSE = { ERROR: 0x01, COMMAND: 0x02, HALT: 0x10 } as const;
/** Bits of INTCAUSE that are there; each is cleared by writing it. */
export const INTCAUSE_BITS = 0x1f;

/** Words of WQCFG, and the bits of the one that a guest may write. */
export const WQ_WORD = { SIZE: 0, THRESHOLD: 4, CONTROL: 8, LIMITS: 12, STATE: 24 } as const;
export const WQ_CONTROL = {
  DEDICATED: 1,
  BLOCK_ON_FAULT: 2,
  PRIORITY_SHIFT: 4,
  PASID_SHIFT: 8,
  PASID_MASK: 0x0fff_ff00,
  PASID_ENABLE: 1 << 28,
  PRIVILEGED: 1 << 29,
} as const;
export const WQ_ENABLED = 1 << 30;
export const WQ_STATE_MASK = 0xc000_0000;

/** What a guest may write of MSIX_PERM: whether to ignore it, and the PASID that interrupts are asked for with. */
export const MSIX_PERM = { PASID_ENABLE: 1 << 3, PASID_SHIFT: 12, WRITABLE: 0xffff_f00c } as const;
export const MSIX_MASKED = 1;
/** Where in an entry of the MSI-X table its mask bit is. */
export const MSIX_CONTROL = 12;

/** Commands. */
export const COMMAND = {
  ENABLE_DEVICE: 1,
  DISABLE_DEVICE: 2,
  DRAIN_ALL: 3,
  ABORT_ALL: 4,
  RESET_DEVICE: 5,
  ENABLE_WQ: 6,
  DISABLE_WQ: 7,
  DRAIN_WQ: 8,
  ABORT_WQ: 9,
  RESET_WQ: 10,
  REQUEST_INT_HANDLE: 13,
  RELEASE_INT_HANDLE: 14,
} as const;
export const COMMAND_CODES: readonly number[] = Object.values(COMMAND);
/** Parts of CMD: the operand, the command, and whether its end is told of by an interrupt. */
export const CMD = { OPERAND: 0xf_ffff, SHIFT: 20, CODE: 0x1f, INTERRUPT: 1 << 31 } as const;
/** In the operand of a command about interrupt handles: one that is no vector's is asked for. */
export const HANDLE_IMS = 1 << 16;
/** Where CMDSTS has the result of a command that succeeded. */
export const RESULT_SHIFT = 8;

/** CMDSTS: how a command ended. */
export const STATUS = {
  SUCCESS: 0,
  INVALID_COMMAND: 0x01,
  INVALID_QUEUE: 0x02,
  HARDWARE_ERROR: 0x03,
  DEVICE_ENABLED: 0x10,
  NO_BUS_MASTER: 0x12,
  PASID_SETUP: 0x13,
  DEVICE_NOT_ENABLED: 0x20,
  QUEUE_ENABLED: 0x21,
  PASID_ENABLE: 0x26,
  DEVICE_DISABLED: 0x31,
  QUEUE_NOT_ENABLED: 0x32,
  INVALID_VECTOR: 0x41,
  NO_HANDLE: 0x42,
  INVALID_HANDLE: 0x43,
} as const;

/** Bits of the first word of SWERR. */
export const SWERR = {
  VALID: 1,
  OVERFLOW: 2,
  DESCRIPTOR: 4,
  QUEUE: 8,
  WRITE: 32,
  CODE_SHIFT: 8,
  QUEUE_SHIFT: 16,
} as const;
/** The second word: which operation, and whose. */
export const SWERR_PASID_SHIFT = 8;
export const SWERR_ADDRESS = 16;
export const SWERR_SIZE = 32;
/** Bus mastering was turned off while the device was enabled: DSA_ERR_PCI_CFG of the series. */
export const ERROR_PCI_CONFIG = 0x51;
