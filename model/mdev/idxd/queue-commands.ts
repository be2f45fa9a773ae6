/** Commands about the queue of a virtual accelerator, and the host's queue behind it. Beside the series' vidxd_wq_enable and its like. */
import { clauses } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { enabled } from "./config-space.ts";
import type { HostPasid } from "./host.ts";
import { QUEUES, REG, STATE, STATUS, WQ_CONTROL, WQ_ENABLED, WQ_WORD } from "./registers.ts";
import { COMMAND_MAIL, IDXD, LINE_MAIL, register, spec } from "./sources.ts";
import type { VirtualDsa } from "./virtual-device.ts";

const later = { ...IDXD, observable: "later-call" } as const;

export const rule = clauses({
  "IDXD-CMD-WQ-1": {
    ...later,
    rule: "a command about queues that the device has not ends in 0x02",
    source: register("IDXD_CMDSTS_INVAL_WQIDX"),
  },
  "IDXD-CMD-WQ-2": {
    ...later,
    rule: "no queue is enabled before its device: 0x20",
    source: register("IDXD_CMDSTS_ERR_DEV_NOTEN"),
  },
  "IDXD-CMD-WQ-3": {
    ...later,
    rule: "a queue that is enabled can't be: 0x21",
    source: register("IDXD_CMDSTS_ERR_WQ_ENABLED"),
  },
  "IDXD-CMD-WQ-4": {
    ...later,
    rule: "a shared queue takes PASIDs, and a queue takes none that the device has not turned on: 0x26",
    source: register("IDXD_CMDSTS_ERR_PASID_EN"),
  },
  "IDXD-CMD-WQ-5": {
    ...later,
    rule: "a dedicated queue that takes a PASID takes one that the guest has been given: 0x26",
    source: register("IDXD_CMDSTS_ERR_PASID_EN"),
  },
  "IDXD-CMD-WQ-6": {
    ...later,
    rule: "the queue is enabled, as WQCFG says; a dedicated one is the guest's alone, and its PASID the host's number for the guest's",
    source: LINE_MAIL,
  },
  "IDXD-CMD-WQ-7": {
    ...later,
    rule: "a queue that is not enabled can't be disabled, drained, aborted or reset: 0x32",
    source: register("IDXD_CMDSTS_ERR_DEV_NOT_EN"),
  },
  "IDXD-CMD-WQ-8": {
    ...later,
    rule: "the queue is disabled, and where it is dedicated the host's is as well; a shared one goes on for others",
    source: COMMAND_MAIL,
  },
  "IDXD-CMD-WQ-9": {
    ...later,
    rule: "commands about queues name them by one bit each, sixteen at a time",
    source: spec("Command Register (CMD)"),
  },
});

/** Whether the operand of a command names queues that the device has, by bits and the sixteen that they are of. */
function namesQueues(operand: number): boolean {
  const bits = operand & 0xffff;
  return operand >>> 16 === 0 && bits !== 0 && bits >>> QUEUES === 0;
}

export const queueCommandSteps = {
  /** vidxd_wq_enable */
  enableQueue(k: Kernel, device: VirtualDsa, index: number): number {
    const { registers, queue, config } = device;
    if (index >= QUEUES) {
      k.keeps(rule["IDXD-CMD-WQ-1"]);
      return STATUS.INVALID_QUEUE;
    }
    if (device.state !== STATE.ENABLED) {
      k.keeps(rule["IDXD-CMD-WQ-2"]);
      return STATUS.DEVICE_NOT_ENABLED;
    }
    if (k.idxd.queueState(device)) {
      k.keeps(rule["IDXD-CMD-WQ-3"]);
      return STATUS.QUEUE_ENABLED;
    }
    const control = registers.getUint32(REG.WQCFG + WQ_WORD.CONTROL, true);
    const takesPasid = (control & WQ_CONTROL.PASID_ENABLE) !== 0;
    if (takesPasid ? !enabled.pasid(config) : !queue.dedicated) {
      k.keeps(rule["IDXD-CMD-WQ-4"]);
      return STATUS.PASID_ENABLE;
    }
    if (queue.dedicated) {
      const guest = (control & WQ_CONTROL.PASID_MASK) >>> WQ_CONTROL.PASID_SHIFT;
      const pasid = takesPasid ? k.idxd.queuePasid(k, device, guest) : device.pasid;
      if (!pasid) {
        k.keeps(rule["IDXD-CMD-WQ-5"]);
        return STATUS.PASID_ENABLE;
      }
      pasid.users++;
      queue.pasid = pasid;
      queue.running = true;
    }
    registers.setUint32(REG.WQCFG + WQ_WORD.STATE, WQ_ENABLED, true);
    k.keeps(rule["IDXD-CMD-WQ-6"]);
    return STATUS.SUCCESS;
  },

  /** What a dedicated queue is programmed with for a guest's PASID. */
  queuePasid(k: Kernel, device: VirtualDsa, guest: number): HostPasid | undefined {
    return k.idxd.hostPasid(device, guest);
  },

  /** idxd_mdev_get_host_pasid: the host's PASID for one of the guest's; 0 is that of the device. */
  hostPasid(device: VirtualDsa, guest: number): HostPasid | undefined {
    return guest === 0 ? device.pasid : device.guestPasids.get(guest);
  },

  /** What drain, abort, disable and reset have in common: undefined where the queue is named, and enabled. */
  refusesQueue(k: Kernel, device: VirtualDsa, operand: number): number | undefined {
    if (!namesQueues(operand)) {
      k.keeps(rule["IDXD-CMD-WQ-1"]);
      return STATUS.INVALID_QUEUE;
    }
    k.keeps(rule["IDXD-CMD-WQ-9"]);
    if (k.idxd.queueState(device)) return undefined;
    k.keeps(rule["IDXD-CMD-WQ-7"]);
    return STATUS.QUEUE_NOT_ENABLED;
  },

  /** vidxd_wq_drain and vidxd_wq_abort */
  drainQueue(k: Kernel, device: VirtualDsa, operand: number): number {
    return k.idxd.refusesQueue(k, device, operand) ?? STATUS.SUCCESS;
  },

  /** vidxd_wq_disable and vidxd_wq_reset */
  disableQueue(k: Kernel, device: VirtualDsa, operand: number): number {
    const refused = k.idxd.refusesQueue(k, device, operand);
    if (refused !== undefined) return refused;
    k.idxd.stopQueue(k, device);
    k.keeps(rule["IDXD-CMD-WQ-8"]);
    return STATUS.SUCCESS;
  },

  /** The guest's queue is disabled, however that came; the host's is where nobody else uses it. */
  stopQueue({ accelerator }: Kernel, { registers, queue }: VirtualDsa): void {
    registers.setUint32(REG.WQCFG + WQ_WORD.STATE, 0, true);
    if (!queue.dedicated) return;
    queue.running = false;
    if (queue.pasid) accelerator?.putPasid(queue.pasid);
    queue.pasid = null;
  },
};
