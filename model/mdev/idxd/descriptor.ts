/**
 * Descriptors: what the accelerator does for them, and how it tells how that ended. Beside include/uapi/linux/idxd.h.
 *
 * Three operations, so that memory is read, written, and neither; they end before whoever submits them goes on.
 */
import { clauses } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { VfioDevice } from "../../vfio/device.ts";
import { enabled } from "./config-space.ts";
import type { HostPasid } from "./host.ts";
import { lengthOf } from "./memory.ts";
import { OPERATION } from "./mmio.ts";
import { REG, WQ_CONTROL, WQ_WORD } from "./registers.ts";
import { IDXD, MEDIATION_MAIL, spec } from "./sources.ts";
import type { VirtualDsa } from "./virtual-device.ts";

const later = { ...IDXD, observable: "later-call" } as const;
const status = (name: string): string => `include/uapi/linux/idxd.h:${name}`;

export const rule = clauses({
  "IDXD-DESC-1": {
    ...later,
    rule: "an operation that OPCAP has not ends in 0x10",
    source: status("DSA_COMP_BAD_OPCODE"),
  },
  "IDXD-DESC-2": {
    ...later,
    rule: "a descriptor may only block on page faults where its queue may: 0x11",
    source: status("DSA_COMP_INVALID_FLAGS"),
  },
  "IDXD-DESC-3": {
    ...later,
    rule: "a transfer has a length, and none above what the host lets the queue do: 0x13",
    source: MEDIATION_MAIL,
  },
  "IDXD-DESC-4": {
    ...later,
    rule: "a descriptor that asks for an interrupt names a handle that the guest has: 0x19",
    source: status("DSA_COMP_INT_HANDLE_INVAL"),
  },
  "IDXD-DESC-5": {
    ...later,
    rule: "a completion record begins at a multiple of 32: 0x1b, in SWERR",
    source: status("DSA_COMP_CRA_ALIGN"),
  },
  "IDXD-DESC-6": {
    ...later,
    rule: "a completion record must be reached: 0x1a, in SWERR, and nothing is done",
    source: status("DSA_COMP_CRA_XLAT"),
  },
  "IDXD-DESC-7": {
    ...later,
    rule: "a descriptor that does not block ends at a page fault: 0x03, with where it was, and what was done before",
    source: status("DSA_COMP_PAGE_FAULT_NOBOF"),
  },
  "IDXD-DESC-8": {
    ...later,
    rule: "a descriptor that blocks asks for the page; nobody maps it meanwhile, the answer is that there is none, and it ends: 0x04",
    source: status("DSA_COMP_PAGE_FAULT_IR"),
  },
  "IDXD-DESC-9": {
    ...later,
    rule: "a descriptor that is done has moved or filled memory, and its completion record says so where it asked for one",
    source: spec("Completion Record"),
  },
});

export const DESCRIPTOR = 64;
export const RECORD = 32;
/** Flags of a descriptor. */
export const FLAG = { BLOCK_ON_FAULT: 2, RECORD_VALID: 4, RECORD: 8, INTERRUPT: 16 } as const;
/** Status of a completion, and the bit of it that says that a fault was at a write. */
export const COMPLETION = {
  SUCCESS: 0x01,
  PAGE_FAULT: 0x03,
  PAGE_FAULT_ANSWERED: 0x04,
  BAD_OPERATION: 0x10,
  INVALID_FLAGS: 0x11,
  TRANSFER_SIZE: 0x13,
  INVALID_HANDLE: 0x19,
  RECORD_ADDRESS: 0x1a,
  RECORD_ALIGNMENT: 0x1b,
  WRITE: 0x80,
} as const;

/** struct dsa_hw_desc, as far as the three operations go. */
export interface Descriptor {
  readonly pasid: number;
  readonly flags: number;
  readonly operation: number;
  readonly record: bigint;
  /** Where memory is moved from; of filling, what it is filled with. */
  readonly source: bigint;
  readonly destination: bigint;
  readonly size: number;
  readonly handle: number;
}

export function decode(view: DataView): Descriptor {
  const control = view.getUint32(4, true);
  return {
    pasid: view.getUint32(0, true) & 0xf_ffff,
    flags: control & 0xff_ffff,
    operation: control >>> 24,
    record: view.getBigUint64(8, true),
    source: view.getBigUint64(16, true),
    destination: view.getBigUint64(24, true),
    size: view.getUint32(32, true),
    handle: view.getUint16(36, true),
  };
}

/** How a descriptor ended. */
export interface Completion {
  readonly status: number;
  /** Bytes that were done. */
  readonly bytes: number;
  /** Where memory could not be reached. */
  readonly address: bigint;
  readonly write: boolean;
}

export const ended = (code: number): Completion => ({ status: code, bytes: 0, address: 0n, write: false });
/** Bytes of the pattern that memory is filled with. */
const PATTERN = 8;

export const descriptorSteps = {
  /** Carries a descriptor out under a PASID of the host's. */
  execute(k: Kernel, file: VfioDevice, device: VirtualDsa, descriptor: Descriptor, pasid: HostPasid): void {
    const { flags, record, operation } = descriptor;
    const told = (code: number, address: bigint, write: boolean): void =>
      k.idxd.hardwareError(k, { code, queue: device.queue, pasid, operation, write, address });
    const hasRecord = (flags & FLAG.RECORD_VALID) !== 0;
    if (hasRecord && record % BigInt(RECORD) !== 0n) {
      told(COMPLETION.RECORD_ALIGNMENT, record, false);
      k.keeps(rule["IDXD-DESC-5"]);
      return;
    }
    const spans = hasRecord ? k.idxd.reachable(k, file, pasid, record, RECORD, true) : [];
    if (hasRecord && lengthOf(spans) < RECORD) {
      told(COMPLETION.RECORD_ADDRESS, record, true);
      k.keeps(rule["IDXD-DESC-6"]);
      return;
    }
    const completion =
      k.idxd.refusesDescriptor(k, device, descriptor) ?? k.idxd.operate(k, file, device, descriptor, pasid);
    const failed = completion.status !== COMPLETION.SUCCESS;
    if (!failed) k.keeps(rule["IDXD-DESC-9"]);
    if (hasRecord && (failed || flags & FLAG.RECORD)) {
      k.idxd.writeMemory(k, spans, recordOf(completion));
      k.idxd.wrote(device, file, pasid, record, RECORD);
    } else if (failed) {
      told(completion.status & ~COMPLETION.WRITE, completion.address, completion.write);
    }
    const vector = flags & FLAG.INTERRUPT ? k.idxd.vectorOfHandle(device, descriptor.handle) : undefined;
    if (vector !== undefined) k.idxd.completionInterrupt(k, device, vector, pasid);
  },

  /** What is wrong with a descriptor by itself. */
  refusesDescriptor(
    k: Kernel,
    device: VirtualDsa,
    { operation, flags, size, handle }: Descriptor,
  ): Completion | undefined {
    const { registers } = device;
    if (operation > 31 || !(registers.getUint32(REG.OPCAP, true) & (1 << operation))) {
      k.keeps(rule["IDXD-DESC-1"]);
      return ended(COMPLETION.BAD_OPERATION);
    }
    const control = registers.getUint32(REG.WQCFG + WQ_WORD.CONTROL, true);
    if (flags & FLAG.BLOCK_ON_FAULT && !(control & WQ_CONTROL.BLOCK_ON_FAULT)) {
      k.keeps(rule["IDXD-DESC-2"]);
      return ended(COMPLETION.INVALID_FLAGS);
    }
    const most = 2 ** device.queue.spec.maxTransferShift;
    if (operation !== OPERATION.NOOP && (size === 0 || size > most)) {
      k.keeps(rule["IDXD-DESC-3"]);
      return ended(COMPLETION.TRANSFER_SIZE);
    }
    if (flags & FLAG.INTERRUPT && k.idxd.vectorOfHandle(device, handle) === undefined) {
      k.keeps(rule["IDXD-DESC-4"]);
      return ended(COMPLETION.INVALID_HANDLE);
    }
    return undefined;
  },

  /** The operation itself, as far as memory is there. */
  operate(k: Kernel, file: VfioDevice, device: VirtualDsa, descriptor: Descriptor, pasid: HostPasid): Completion {
    const { operation, source, destination, size } = descriptor;
    if (operation === OPERATION.NOOP) return ended(COMPLETION.SUCCESS);
    const moves = operation === OPERATION.MEMMOVE;
    const from = moves ? k.idxd.reachable(k, file, pasid, source, size, false) : [];
    const to = k.idxd.reachable(k, file, pasid, destination, size, true);
    const bytes = Math.min(moves ? lengthOf(from) : size, lengthOf(to));
    const content = moves ? k.idxd.readMemory(k, from) : pattern(source, size);
    k.idxd.writeMemory(k, firstOf(to, bytes), content);
    if (bytes > 0) k.idxd.wrote(device, file, pasid, destination, bytes);
    if (bytes === size) return { ...ended(COMPLETION.SUCCESS), bytes };
    const write = !moves || lengthOf(from) > bytes;
    const address = BigInt.asUintN(64, (write ? destination : source) + BigInt(bytes));
    return { status: k.idxd.faulted(k, device, descriptor) | (write ? COMPLETION.WRITE : 0), bytes, address, write };
  },

  /**
   * A page fault. Whoever maps memory for the guest does so by other calls of the same task: while a descriptor waits nobody
   * does, and the page request is answered with a failure, as the IOMMU does where there is no one to ask.
   */
  faulted(k: Kernel, device: VirtualDsa, { flags }: Descriptor): number {
    if (flags & FLAG.BLOCK_ON_FAULT && enabled.pageRequests(device.config)) {
      k.keeps(rule["IDXD-DESC-8"]);
      return COMPLETION.PAGE_FAULT_ANSWERED;
    }
    k.keeps(rule["IDXD-DESC-7"]);
    return COMPLETION.PAGE_FAULT;
  },
};

/** The first bytes of several spans. */
function firstOf(spans: readonly { readonly address: bigint; readonly length: number }[], bytes: number) {
  let left = bytes;
  return spans.flatMap(({ address, length }) => {
    const taken = Math.min(length, left);
    left -= taken;
    return taken > 0 ? [{ address, length: taken }] : [];
  });
}

/** What memory is filled with. */
export function pattern(value: bigint, size: number): Uint8Array {
  const one = new DataView(new ArrayBuffer(PATTERN));
  one.setBigUint64(0, value, true);
  return Uint8Array.from({ length: size }, (_, i) => one.getUint8(i % PATTERN));
}

/** struct dsa_completion_record */
export function recordOf({ status: code, bytes, address }: Completion): Uint8Array {
  const record = new DataView(new ArrayBuffer(RECORD));
  record.setUint8(0, code);
  record.setUint32(4, bytes, true);
  record.setBigUint64(8, address, true);
  return new Uint8Array(record.buffer);
}
