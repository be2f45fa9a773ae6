/** Commands to a virtual accelerator, by its register CMD. Beside the series' vidxd_do_command. */
import { clauses } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { enabled } from "./config-space.ts";
import {
  CMD,
  COMMAND,
  HANDLE_IMS,
  INTCAUSE,
  REG,
  RESULT_SHIFT,
  STATE,
  STATUS,
  VECTORS,
  WQ_STATE_MASK,
  WQ_WORD,
} from "./registers.ts";
import { COMMAND_MAIL, IDXD, register, spec } from "./sources.ts";
import type { VirtualDsa } from "./virtual-device.ts";

const later = { ...IDXD, observable: "later-call" } as const;

export const rule = clauses({
  "IDXD-CMD-1": { ...later, rule: "a command that CMDCAP does not have ends in 0x01", source: COMMAND_MAIL },
  "IDXD-CMD-2": {
    ...later,
    rule: "once the device is halted every command ends in 0x03",
    source: COMMAND_MAIL,
  },
  "IDXD-CMD-3": {
    ...later,
    rule: "how a command ended is in CMDSTS when the write is over, and where it was asked for, told by vector 0 and INTCAUSE",
    source: COMMAND_MAIL,
  },
  "IDXD-CMD-ENABLE-1": {
    ...later,
    rule: "a device that is enabled can't be: 0x10",
    source: register("IDXD_CMDSTS_ERR_DEV_ENABLED"),
  },
  "IDXD-CMD-ENABLE-2": {
    ...later,
    rule: "a device is not enabled before it may master the bus: 0x12",
    source: register("IDXD_CMDSTS_ERR_BUSMASTER_EN"),
  },
  "IDXD-CMD-ENABLE-3": {
    ...later,
    rule: "PASIDs and page requests go together, and PASIDs need address translation services: 0x13",
    source: register("IDXD_CMDSTS_ERR_PASID_INVAL"),
  },
  "IDXD-CMD-ENABLE-4": { ...later, rule: "the device is enabled, as GENSTS says", source: COMMAND_MAIL },
  "IDXD-CMD-DISABLE-1": {
    ...later,
    rule: "a device that is disabled can't be: 0x31",
    source: register("IDXD_CMDSTS_ERR_DIS_DEV_EN"),
  },
  "IDXD-CMD-DISABLE-2": { ...later, rule: "the device is disabled, and its queue with it", source: COMMAND_MAIL },
  "IDXD-CMD-RESET-1": {
    ...later,
    rule: "the device is disabled, its queue with it, and every register is what it was at first",
    source: COMMAND_MAIL,
  },
  "IDXD-CMD-HANDLE-1": {
    ...later,
    rule: "a handle is asked for by the number of a vector behind which an entry of the message store is: not 0, which is emulated; else 0x41",
    source: COMMAND_MAIL,
  },
  "IDXD-CMD-HANDLE-2": {
    ...later,
    rule: "no handle is given for an entry that the guest manages itself: 0x42",
    source: COMMAND_MAIL,
  },
  "IDXD-CMD-HANDLE-3": {
    ...later,
    rule: "the result is the handle, the same each time and no other device's",
    source: spec("Interrupt Handles"),
  },
  "IDXD-CMD-HANDLE-4": {
    ...later,
    rule: "only a handle that was asked for can be given back: 0x43",
    source: COMMAND_MAIL,
  },
  "IDXD-CMD-HANDLE-5": {
    ...later,
    rule: "a handle that was given back means nothing any more",
    source: spec("Interrupt Handles"),
  },
});

/** What a guest asks for, CMD taken apart. */
export interface Command {
  readonly code: number;
  readonly operand: number;
}

export const commandSteps = {
  /** vidxd_do_command. Commands are done when the write is over, so none is ever found in progress. */
  command(k: Kernel, device: VirtualDsa, value: number): void {
    device.registers.setUint32(REG.CMD, value, true);
    const command = { code: (value >>> CMD.SHIFT) & CMD.CODE, operand: value & CMD.OPERAND };
    const status = k.idxd.doCommand(k, device, command);
    k.idxd.complete(k, device, value, status);
  },

  /** idxd_complete_command */
  complete(k: Kernel, device: VirtualDsa, value: number, status: number): void {
    device.registers.setUint32(REG.CMDSTS, status, true);
    if (value & CMD.INTERRUPT) k.idxd.deviceEvent(k, device, INTCAUSE.COMMAND);
    k.keeps(rule["IDXD-CMD-3"]);
  },

  /** The command itself: what CMDSTS says of it. */
  doCommand(k: Kernel, device: VirtualDsa, { code, operand }: Command): number {
    if (!(device.registers.getUint32(REG.CMDCAP, true) & (1 << code)) || code === 0) {
      k.keeps(rule["IDXD-CMD-1"]);
      return STATUS.INVALID_COMMAND;
    }
    if (device.state === STATE.HALT) {
      k.keeps(rule["IDXD-CMD-2"]);
      return STATUS.HARDWARE_ERROR;
    }
    switch (code) {
      case COMMAND.ENABLE_DEVICE:
        return k.idxd.enableDevice(k, device);
      case COMMAND.DISABLE_DEVICE:
        return k.idxd.disableDevice(k, device);
      case COMMAND.RESET_DEVICE:
        k.idxd.resetDevice(k, device);
        k.keeps(rule["IDXD-CMD-RESET-1"]);
        return STATUS.SUCCESS;
      case COMMAND.ENABLE_WQ:
        return k.idxd.enableQueue(k, device, operand);
      case COMMAND.DISABLE_WQ:
      case COMMAND.RESET_WQ:
        return k.idxd.disableQueue(k, device, operand);
      case COMMAND.DRAIN_WQ:
      case COMMAND.ABORT_WQ:
        return k.idxd.drainQueue(k, device, operand);
      case COMMAND.REQUEST_INT_HANDLE:
        return k.idxd.requestHandle(k, device, operand);
      case COMMAND.RELEASE_INT_HANDLE:
        return k.idxd.releaseHandle(k, device, operand);
      default:
        // Descriptors are done when they are submitted: there is nothing to drain or to abort.
        return STATUS.SUCCESS;
    }
  },

  /** vidxd_enable */
  enableDevice(k: Kernel, { registers, config, state }: VirtualDsa): number {
    if (state === STATE.ENABLED) {
      k.keeps(rule["IDXD-CMD-ENABLE-1"]);
      return STATUS.DEVICE_ENABLED;
    }
    if (!enabled.busMaster(config)) {
      k.keeps(rule["IDXD-CMD-ENABLE-2"]);
      return STATUS.NO_BUS_MASTER;
    }
    const pasid = enabled.pasid(config);
    if (pasid !== enabled.pageRequests(config) || (pasid && !enabled.ats(config))) {
      k.keeps(rule["IDXD-CMD-ENABLE-3"]);
      return STATUS.PASID_SETUP;
    }
    registers.setUint32(REG.GENSTS, STATE.ENABLED, true);
    k.keeps(rule["IDXD-CMD-ENABLE-4"]);
    return STATUS.SUCCESS;
  },

  /** vidxd_disable */
  disableDevice(k: Kernel, device: VirtualDsa): number {
    if (device.state === STATE.DISABLED) {
      k.keeps(rule["IDXD-CMD-DISABLE-1"]);
      return STATUS.DEVICE_DISABLED;
    }
    k.idxd.stopQueue(k, device);
    device.registers.setUint32(REG.GENSTS, STATE.DISABLED, true);
    k.keeps(rule["IDXD-CMD-DISABLE-2"]);
    return STATUS.SUCCESS;
  },

  /** vidxd_reset */
  resetDevice(k: Kernel, device: VirtualDsa): void {
    k.idxd.stopQueue(k, device);
    device.vectors.requested.fill(false);
    device.init();
  },

  /** vidxd_alloc_int_handle */
  requestHandle(k: Kernel, { vectors }: VirtualDsa, operand: number): number {
    const vector = operand & 0xffff;
    const entry = vector < VECTORS ? vectors.entries[vector] : null;
    if (entry === null || entry === undefined) {
      k.keeps(rule["IDXD-CMD-HANDLE-1"]);
      return STATUS.INVALID_VECTOR;
    }
    if (operand & HANDLE_IMS) {
      k.keeps(rule["IDXD-CMD-HANDLE-2"]);
      return STATUS.NO_HANDLE;
    }
    vectors.requested[vector] = true;
    k.keeps(rule["IDXD-CMD-HANDLE-3"]);
    return entry << RESULT_SHIFT;
  },

  /** vidxd_release_int_handle */
  releaseHandle(k: Kernel, device: VirtualDsa, operand: number): number {
    const vector = operand & HANDLE_IMS ? undefined : k.idxd.vectorOfHandle(device, operand & 0xffff);
    if (vector === undefined) {
      k.keeps(rule["IDXD-CMD-HANDLE-4"]);
      return k.idxd.unknownHandle();
    }
    device.vectors.requested[vector] = false;
    k.keeps(rule["IDXD-CMD-HANDLE-5"]);
    return STATUS.SUCCESS;
  },

  /** How giving back a handle ends that the guest does not have. */
  unknownHandle(): number {
    return STATUS.INVALID_HANDLE;
  },

  /** What the queue's entry in WQCFG says of it. */
  queueState({ registers }: VirtualDsa): boolean {
    return (registers.getUint32(REG.WQCFG + WQ_WORD.STATE, true) & WQ_STATE_MASK) !== 0;
  },
};
