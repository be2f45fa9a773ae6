/**
 * Errors that a virtual accelerator tells its guest of: SWERR, and the state HALT. Beside the series' vidxd_set_swerr and
 * vidxd_send_errors.
 */
import { clauses } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { HostPasid, WorkQueue } from "./host.ts";
import {
  ERROR_PCI_CONFIG,
  GENCTRL,
  INTCAUSE,
  REG,
  RESET_TYPE_FLR,
  STATE,
  SWERR,
  SWERR_ADDRESS,
  SWERR_PASID_SHIFT,
  SWERR_SIZE,
} from "./registers.ts";
import { ERROR_MAIL, IDXD, MEDIATION_MAIL, RW_MAIL, register } from "./sources.ts";
import type { VirtualDsa } from "./virtual-device.ts";

const later = { ...IDXD, observable: "later-call" } as const;

export const rule = clauses({
  "IDXD-SWERR-1": {
    ...later,
    rule: "the first error stays in SWERR until the guest takes it; of those after it only the bit for overflow tells",
    source: register("sw_err_reg"),
  },
  "IDXD-SWERR-2": {
    ...later,
    rule: "an error is told of by vector 0 and INTCAUSE where GENCTRL asks for that",
    source: RW_MAIL,
  },
  "IDXD-SWERR-3": {
    ...later,
    rule: "an error of a descriptor that can't be told in a completion record is told in SWERR, with queue, PASID, operation and address as the guest knows them",
    source: ERROR_MAIL,
  },
  "IDXD-SWERR-4": {
    ...later,
    rule: "of a queue that guests share, an error is told to the one whose PASID it is of, and to no other",
    source: MEDIATION_MAIL,
  },
});

/** An error as the host's hardware tells it. */
export interface HardwareError {
  readonly code: number;
  readonly queue: WorkQueue;
  readonly pasid: HostPasid;
  readonly operation: number;
  /** Whether memory was to be written, and where. */
  readonly write: boolean;
  readonly address: bigint;
}

/** The record that a guest sees, 32 bytes of SWERR. */
export type ErrorRecord = DataView<ArrayBuffer>;

export const errorSteps = {
  /** vidxd_set_swerr, and the interrupt behind it */
  softwareError(k: Kernel, device: VirtualDsa, record: ErrorRecord): void {
    const { registers } = device;
    const before = registers.getUint32(REG.SWERR, true);
    if (before & SWERR.VALID) {
      registers.setUint32(REG.SWERR, before | SWERR.OVERFLOW, true);
      k.keeps(rule["IDXD-SWERR-1"]);
      return;
    }
    k.idxd.storeError(registers, record);
    if (!(registers.getUint32(REG.GENCTRL, true) & GENCTRL.SOFTERR_INT)) return;
    k.idxd.deviceEvent(k, device, INTCAUSE.ERROR);
    k.keeps(rule["IDXD-SWERR-2"]);
  },

  /** The four words of an error, into those of the register. */
  storeError(registers: DataView, record: ErrorRecord): void {
    for (let at = 0; at < SWERR_SIZE; at += 8) {
      registers.setBigUint64(REG.SWERR + at, record.getBigUint64(at, true), true);
    }
  },

  /** vidxd_report_pci_error: nothing but a reset of the function brings the device back. */
  halt(k: Kernel, device: VirtualDsa): void {
    const record = new DataView(new ArrayBuffer(SWERR_SIZE));
    record.setUint32(0, SWERR.VALID | (ERROR_PCI_CONFIG << SWERR.CODE_SHIFT), true);
    k.idxd.softwareError(k, device, record);
    device.registers.setUint32(REG.GENSTS, STATE.HALT | RESET_TYPE_FLR, true);
    if (device.registers.getUint32(REG.GENCTRL, true) & GENCTRL.HALT_INT) {
      k.idxd.deviceEvent(k, device, INTCAUSE.HALT);
    }
  },

  /** idxd_wq_vidxd_send_errors: an error of the hardware goes to the guest that it concerns. */
  hardwareError(k: Kernel, error: HardwareError): void {
    for (const device of k.idxd.concerned(error)) {
      k.idxd.softwareError(k, device, k.idxd.guestRecord(error));
      k.keeps(rule["IDXD-SWERR-3"]);
      if (error.queue.instances.length > 1) k.keeps(rule["IDXD-SWERR-4"]);
    }
  },

  /** The virtual devices that an error is told to. */
  concerned({ queue, pasid }: HardwareError): readonly VirtualDsa[] {
    return queue.instances.filter((device) => device === pasid.owner);
  },

  /** An error as its guest is to see it: the only queue that it knows is its first, and its PASIDs have its own numbers. */
  guestRecord({ code, pasid, operation, write, address }: HardwareError): ErrorRecord {
    const record = new DataView(new ArrayBuffer(SWERR_SIZE));
    const bits = SWERR.VALID | SWERR.DESCRIPTOR | SWERR.QUEUE | (write ? SWERR.WRITE : 0);
    record.setUint32(0, bits | (code << SWERR.CODE_SHIFT), true);
    record.setUint32(4, operation | ((pasid.guest ?? 0) << SWERR_PASID_SHIFT), true);
    record.setBigUint64(SWERR_ADDRESS, address, true);
    return record;
  },
};
