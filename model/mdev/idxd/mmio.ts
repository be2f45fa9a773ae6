/**
 * BAR 0 of a virtual accelerator: what its registers say, and what writing them does. Beside the series' vidxd_mmio_init,
 * vidxd_mmio_read and vidxd_mmio_write.
 */
import { clauses, must } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { WorkQueue } from "./host.ts";
import {
  BAR0_SIZE,
  COMMAND_CODES,
  GENCFG_USER_INT,
  GENCTRL,
  INTCAUSE_BITS,
  MSIX_CONTROL,
  MSIX_ENTRY,
  MSIX_MASKED,
  MSIX_PERM,
  MSIX_PERM_ENTRY,
  QUEUES,
  REG,
  STATE,
  SWERR,
  TABLE_UNIT,
  VECTORS,
  WQ_CONTROL,
  WQ_STATE_MASK,
  WQ_WORD,
} from "./registers.ts";
import { IDXD, MEDIATION_MAIL, RW_MAIL, register, spec } from "./sources.ts";
import type { VirtualDsa } from "./virtual-device.ts";

const later = { ...IDXD, observable: "later-call" } as const;

export const rule = clauses({
  "IDXD-MMIO-1": {
    ...IDXD,
    rule: "what lies behind BAR 0 is refused; what came before is done",
    errno: "EINVAL",
    partial: true,
    source: RW_MAIL,
  },
  "IDXD-MMIO-2": {
    ...IDXD,
    rule: "the command register is written as a whole, 32 bits",
    errno: "EINVAL",
    partial: true,
    source: RW_MAIL,
  },
  "IDXD-MMIO-3": {
    ...IDXD,
    rule: "registers are read by units of 1, 2 and 4 bytes, and say what the host lets the guest have: one queue of its size and mode",
    source: RW_MAIL,
    observable: "output",
  },
  "IDXD-MMIO-4": {
    ...later,
    rule: "capabilities, groups, and what the host has set of the queue (size, threshold, mode, priority, limits of transfers and batches) keep their values whatever is written",
    source: MEDIATION_MAIL,
  },
  "IDXD-MMIO-5": {
    ...later,
    rule: "GENCFG can be written while the device is disabled",
    source: spec("General Configuration Register (GENCFG)"),
  },
  "IDXD-MMIO-6": {
    ...later,
    rule: "bits of INTCAUSE and of SWERR are cleared by writing them",
    source: register("IDXD_SWERR_ACK"),
  },
  "IDXD-WQCFG-1": {
    ...later,
    rule: "PASID, its enable and privilege of the queue can be written while the queue is disabled",
    source: spec("Work Queue Configuration Table (WQCFG)"),
  },
  "IDXD-WQCFG-2": {
    ...later,
    rule: "a queue does not block on faults that the host keeps from it",
    source: MEDIATION_MAIL,
  },
  "IDXD-WQCFG-3": {
    ...later,
    rule: "the configuration of a queue that is enabled keeps its value",
    source: spec("Work Queue Configuration Table (WQCFG)"),
  },
});

/** What the device says that it is: version 1.0; copies may overlap, commands tell what they are. */
const VERSION = 0x100;
const GENCAP = { BLOCK_ON_FAULT: 1, OVERLAP: 2, COMMANDS: 16, TRANSFER_SHIFT: 16, BATCH_SHIFT: 21 } as const;
/** Where in the second word of WQCAP the modes are. */
const WQCAP_MODE = { shared: 1 << 16, dedicated: 1 << 17 } as const;
/** Operations: none, moving and filling memory. */
export const OPERATION = { NOOP: 0, MEMMOVE: 3, MEMFILL: 4 } as const;
/** The operations that the accelerator has, a bit each. */
export const OPCAP = (1 << OPERATION.NOOP) | (1 << OPERATION.MEMMOVE) | (1 << OPERATION.MEMFILL);
/** Engines of the group that the queue is in. */
const ENGINES = 1;

/** Fills BAR 0 as it is after a reset: vidxd_mmio_init. */
export function initRegisters(registers: DataView, queue: WorkQueue): void {
  new Uint8Array(registers.buffer).fill(0);
  const put = (at: number, value: number): void => registers.setUint32(at, value, true);
  const { spec: limits } = queue;
  put(REG.VERSION, VERSION);
  put(
    REG.GENCAP,
    (queue.blockOnFault ? GENCAP.BLOCK_ON_FAULT : 0) |
      GENCAP.OVERLAP |
      GENCAP.COMMANDS |
      (limits.maxTransferShift << GENCAP.TRANSFER_SHIFT) |
      (limits.maxBatchShift << GENCAP.BATCH_SHIFT),
  );
  put(REG.WQCAP, limits.size | (QUEUES << 16));
  put(REG.WQCAP + 4, WQCAP_MODE[queue.mode]);
  put(REG.GRPCAP, 1);
  put(REG.ENGCAP, ENGINES);
  put(REG.OPCAP, OPCAP);
  put(REG.TABLE_OFFSET, REG.GRPCFG / TABLE_UNIT + (REG.WQCFG / TABLE_UNIT) * 0x1_0000);
  put(REG.TABLE_OFFSET + 4, REG.MSIX_PERM / TABLE_UNIT);
  put(
    REG.CMDCAP,
    COMMAND_CODES.reduce((bits, code) => bits | (1 << code), 0),
  );
  put(REG.GRPCFG, 1);
  put(REG.GRPCFG + 32, (1 << ENGINES) - 1);
  put(REG.WQCFG + WQ_WORD.SIZE, limits.size);
  put(REG.WQCFG + WQ_WORD.THRESHOLD, queue.threshold);
  put(
    REG.WQCFG + WQ_WORD.CONTROL,
    (queue.dedicated ? WQ_CONTROL.DEDICATED : WQ_CONTROL.PASID_ENABLE) |
      (queue.blockOnFault ? WQ_CONTROL.BLOCK_ON_FAULT : 0) |
      (limits.priority << WQ_CONTROL.PRIORITY_SHIFT),
  );
  put(REG.WQCFG + WQ_WORD.LIMITS, limits.maxTransferShift | (limits.maxBatchShift << 5));
}

/** What a guest may write of the word that controls its queue. */
const GUEST_CONTROL = WQ_CONTROL.PASID_MASK | WQ_CONTROL.PASID_ENABLE | WQ_CONTROL.PRIVILEGED;

export const mmioSteps = {
  /** vidxd_mmio_read */
  readRegister(k: Kernel, { registers }: VirtualDsa, offset: number, width: 1 | 2 | 4): number {
    must(offset + width <= BAR0_SIZE, rule["IDXD-MMIO-1"]);
    k.keeps(rule["IDXD-MMIO-3"]);
    if (width === 4) return registers.getUint32(offset, true);
    return width === 2 ? registers.getUint16(offset, true) : registers.getUint8(offset);
  },

  /** vidxd_mmio_write: what is narrower than a register changes its part of it. */
  writeRegister(k: Kernel, device: VirtualDsa, offset: number, width: 1 | 2 | 4, value: number): void {
    must(offset + width <= BAR0_SIZE, rule["IDXD-MMIO-1"]);
    const at = offset & ~3;
    const shift = 8 * (offset & 3);
    const mask = width === 4 ? 0xffff_ffff : ((1 << (8 * width)) - 1) << shift;
    const written = value << shift;
    if (at === REG.CMD) {
      must(width === 4, rule["IDXD-MMIO-2"]);
      k.idxd.command(k, device, value);
      return;
    }
    const before = device.registers.getUint32(at, true);
    const whole = (before & ~mask) | written;
    if (at === REG.INTCAUSE || at === REG.SWERR) {
      const bits = at === REG.SWERR ? SWERR.VALID | SWERR.OVERFLOW : INTCAUSE_BITS;
      device.registers.setUint32(at, before & ~(written & bits), true);
      k.keeps(rule["IDXD-MMIO-6"]);
      return;
    }
    const keeps = k.idxd.storeRegister(k, device, at, before, whole);
    if (!keeps) k.keeps(rule["IDXD-MMIO-4"]);
  },

  /** Stores a register that can be written; whether it is one. */
  storeRegister(k: Kernel, device: VirtualDsa, at: number, before: number, value: number): boolean {
    const { registers } = device;
    const store = (bits: number): void => registers.setUint32(at, (before & ~bits) | (value & bits), true);
    switch (at) {
      case REG.GENCFG:
        if (device.state !== STATE.DISABLED) return true;
        store(GENCFG_USER_INT);
        k.keeps(rule["IDXD-MMIO-5"]);
        return true;
      case REG.GENCTRL:
        store(GENCTRL.SOFTERR_INT | GENCTRL.HALT_INT);
        return true;
      case REG.WQCFG + WQ_WORD.CONTROL:
        k.idxd.configureQueue(k, device, before, value);
        return true;
    }
    if (at >= REG.MSIX_PERM && at < REG.MSIX_PERM + VECTORS * MSIX_PERM_ENTRY) {
      if (at % MSIX_PERM_ENTRY === 0) store(MSIX_PERM.WRITABLE);
      return true;
    }
    if (at >= REG.MSIX_TABLE && at < REG.MSIX_TABLE + VECTORS * MSIX_ENTRY) {
      const isControl = at % MSIX_ENTRY === MSIX_CONTROL;
      store(isControl ? MSIX_MASKED : 0xffff_ffff);
      if (isControl) k.idxd.unmasked(k, device, Math.floor((at - REG.MSIX_TABLE) / MSIX_ENTRY));
      return true;
    }
    return false;
  },

  /** What a guest sets of its queue: nothing while that is enabled, and never more than the host gives. */
  configureQueue(k: Kernel, device: VirtualDsa, before: number, value: number): void {
    const { registers, queue } = device;
    if (registers.getUint32(REG.WQCFG + WQ_WORD.STATE, true) & WQ_STATE_MASK) {
      k.keeps(rule["IDXD-WQCFG-3"]);
      return;
    }
    const mayBlock = k.idxd.mayBlockOnFault(queue);
    const bits = GUEST_CONTROL | (mayBlock ? WQ_CONTROL.BLOCK_ON_FAULT : 0);
    registers.setUint32(REG.WQCFG + WQ_WORD.CONTROL, (before & ~bits) | (value & bits), true);
    k.keeps(rule["IDXD-WQCFG-1"]);
    if (!mayBlock && value & WQ_CONTROL.BLOCK_ON_FAULT) k.keeps(rule["IDXD-WQCFG-2"]);
  },

  /** Whether the host lets descriptors of a queue block on page faults. */
  mayBlockOnFault(queue: WorkQueue): boolean {
    return queue.blockOnFault;
  },
};
