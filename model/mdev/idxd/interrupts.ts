/**
 * Interrupts of a virtual accelerator: vector 0 is the device's own and emulated, the others are entries of the host's interrupt
 * message store. Beside the series' idxd_vdcm_set_irqs and vidxd_send_interrupt.
 */
import { type EventCounter, eventfdOf } from "../../eventfd.ts";
import { clauses, must } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { UserBlock } from "../../kernel/user-memory.ts";
import { PCI_IRQ, PCI_IRQ_COUNT } from "../../vfio/device-info.ts";
import { IRQ_ACTION, IRQ_INFO, IRQ_SET, type IrqDescription, type IrqSetRequest, readIrqSet } from "../../vfio/irqs.ts";
import type { HostPasid } from "./host.ts";
import {
  type INTCAUSE,
  MSIX_CONTROL,
  MSIX_ENTRY,
  MSIX_MASKED,
  MSIX_PERM,
  MSIX_PERM_ENTRY,
  REG,
  VECTORS,
} from "./registers.ts";
import { DEVICE_MAIL, IDXD, spec } from "./sources.ts";
import type { VirtualDsa } from "./virtual-device.ts";

const header = "include/uapi/linux/vfio.h:VFIO_DEVICE_SET_IRQS";
const fdget = "fs/eventfd.c:eventfd_ctx_fdget";
const later = { ...IDXD, observable: "later-call" } as const;

export const rule = clauses({
  "IDXD-IRQS-1": {
    ...IDXD,
    rule: "only vectors of MSI-X are there, and they can be triggered, not masked or unmasked",
    errno: "ENOTTY",
    source: DEVICE_MAIL,
  },
  "IDXD-IRQS-2": {
    ...IDXD,
    rule: "each eventfd must be an open descriptor; where one is not, no vector is set",
    errno: "EBADF",
    source: fdget,
  },
  "IDXD-IRQS-3": {
    ...IDXD,
    rule: "each eventfd must be one; where one is not, no vector is set",
    errno: "EINVAL",
    source: fdget,
  },
  "IDXD-IRQS-4": {
    ...later,
    rule: "vectors from start on are signalled on their eventfds; -1 ends that for one, a count of 0 for all",
    source: header,
  },
  "IDXD-IRQS-5": {
    ...later,
    rule: "a vector that is raised by hand is signalled on its eventfd",
    source: header,
  },
  "IDXD-IRQ-1": {
    ...later,
    rule: "an interrupt of a vector that is masked in the table is pending until it is unmasked",
    source: spec("MSI-X Table"),
  },
  "IDXD-IRQ-2": {
    ...later,
    rule: "a completion that asks for an interrupt is signalled on the vector whose handle it names",
    source: DEVICE_MAIL,
  },
  "IDXD-IRQ-3": {
    ...later,
    rule: "a completion interrupt is blocked where the vector's PASID is not that of the descriptor",
    source: DEVICE_MAIL,
  },
});

/** Vectors that are set, with the entries that stand behind them. */
export class Vectors {
  /** Where each is signalled. */
  readonly triggers: (EventCounter | null)[] = Array.from({ length: VECTORS }, () => null);
  /** Entry of the host's interrupt message store behind each; null where the vector is emulated. It is the handle as well. */
  readonly entries: readonly (number | null)[];
  /** Whether the guest has asked for the handle. */
  readonly requested: boolean[] = Array.from({ length: VECTORS }, () => false);

  constructor(entries: readonly (number | null)[]) {
    this.entries = entries;
  }

  end(): void {
    this.triggers.fill(null);
  }

  trace(): number {
    let bits = 0;
    for (let vector = 0; vector < VECTORS; vector++) {
      bits = bits * 4 + (this.triggers[vector] ? 2 : 0) + (this.requested[vector] ? 1 : 0);
    }
    return bits;
  }
}

export const interruptSteps = {
  /** idxd_vdcm_get_irq_count */
  irqInfo(index: number): IrqDescription {
    const count = index === PCI_IRQ.MSIX ? VECTORS : 0;
    return { flags: count > 0 ? IRQ_INFO.EVENTFD | IRQ_INFO.NORESIZE : 0, count };
  },

  /** idxd_vdcm_set_irqs, and what the ioctl does before it */
  setIrqs(k: Kernel, { vectors }: VirtualDsa, block: UserBlock): void {
    const request = readIrqSet(k, block, (index) => k.idxd.irqInfo(index).count, PCI_IRQ_COUNT);
    must(request.index === PCI_IRQ.MSIX && (request.flags & IRQ_ACTION) === IRQ_SET.TRIGGER, rule["IDXD-IRQS-1"]);
    k.idxd.triggerVectors(k, vectors, request);
  },

  /** vdcm_idxd_set_msix_trigger */
  triggerVectors(k: Kernel, vectors: Vectors, { flags, start, count, data }: IrqSetRequest): void {
    if (count === 0) {
      if (!(flags & IRQ_SET.NONE)) return;
      vectors.end();
      k.keeps(rule["IDXD-IRQS-4"]);
      return;
    }
    if (flags & IRQ_SET.EVENTFD) {
      const counters = data.map((fd) =>
        fd === -1 ? null : eventfdOf(k, fd, rule["IDXD-IRQS-2"], rule["IDXD-IRQS-3"]),
      );
      for (const [i, counter] of counters.entries()) vectors.triggers[k.idxd.vectorOf(start, i)] = counter;
      k.keeps(rule["IDXD-IRQS-4"]);
      return;
    }
    for (let i = 0; i < count; i++) {
      if (flags & IRQ_SET.BOOL && data[i] === 0) continue;
      vectors.triggers[k.idxd.vectorOf(start, i)]?.signal();
      k.keeps(rule["IDXD-IRQS-5"]);
    }
  },

  /** Which vector the nth of a call is. */
  vectorOf(start: number, nth: number): number {
    return start + nth;
  },

  /** vidxd_send_interrupt */
  interrupt(k: Kernel, { registers, vectors }: VirtualDsa, vector: number): void {
    const control = registers.getUint32(REG.MSIX_TABLE + vector * MSIX_ENTRY + MSIX_CONTROL, true);
    if (control & MSIX_MASKED) {
      registers.setUint32(REG.MSIX_PBA, registers.getUint32(REG.MSIX_PBA, true) | (1 << vector), true);
      k.keeps(rule["IDXD-IRQ-1"]);
      return;
    }
    vectors.triggers[vector]?.signal();
  },

  /** The mask bit of a vector was written: what is pending is told where it is not masked any more. */
  unmasked(k: Kernel, device: VirtualDsa, vector: number): void {
    const { registers } = device;
    const control = registers.getUint32(REG.MSIX_TABLE + vector * MSIX_ENTRY + MSIX_CONTROL, true);
    const pending = registers.getUint32(REG.MSIX_PBA, true);
    if (control & MSIX_MASKED || !(pending & (1 << vector))) return;
    registers.setUint32(REG.MSIX_PBA, pending & ~(1 << vector), true);
    k.idxd.interrupt(k, device, vector);
  },

  /** An event of the device itself: it is told by vector 0, with its cause in INTCAUSE. */
  deviceEvent(k: Kernel, device: VirtualDsa, cause: (typeof INTCAUSE)[keyof typeof INTCAUSE]): void {
    const { registers } = device;
    registers.setUint32(REG.INTCAUSE, registers.getUint32(REG.INTCAUSE, true) | cause, true);
    k.idxd.interrupt(k, device, 0);
  },

  /** The vector whose handle a descriptor names; undefined where the guest has none such. */
  vectorOfHandle({ vectors }: VirtualDsa, handle: number): number | undefined {
    const vector = vectors.entries.indexOf(handle);
    return vector >= 0 && vectors.requested[vector] ? vector : undefined;
  },

  /** A descriptor of that PASID has ended and asked for an interrupt: the entry of the message store lets it through, or not. */
  completionInterrupt(k: Kernel, device: VirtualDsa, vector: number, pasid: HostPasid): void {
    if (k.idxd.vectorPasid(k, device, vector) !== pasid) {
      k.keeps(rule["IDXD-IRQ-3"]);
      return;
    }
    k.idxd.interrupt(k, device, vector);
    k.keeps(rule["IDXD-IRQ-2"]);
  },

  /** The PASID that a vector may be used with, as the guest has set it in MSIX_PERM; undefined where that is none. */
  vectorPasid(k: Kernel, device: VirtualDsa, vector: number): HostPasid | undefined {
    const permission = device.registers.getUint32(REG.MSIX_PERM + vector * MSIX_PERM_ENTRY, true);
    if (!(permission & MSIX_PERM.PASID_ENABLE)) return device.pasid;
    return k.idxd.hostPasid(device, permission >>> MSIX_PERM.PASID_SHIFT);
  },
};
