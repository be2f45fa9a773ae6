/** VFIO_DEVICE_GET_IRQ_INFO and VFIO_DEVICE_SET_IRQS: structs, and the rules that drivers share. Beside drivers/vfio/vfio_main.c. */
import { EventFile } from "../eventfd.ts";
import { clauses, must } from "../kernel/clause.ts";
import { type Ioctl, ioctl } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Unmodelled } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { field, layout, offsetOfEnd } from "../uapi/layout.ts";
import type { DeviceFile } from "./device.ts";
import { DEVICE_REQUEST } from "./device-info.ts";

const header = (name: string) => `include/uapi/linux/vfio.h:${name}`;
const prepare = "drivers/vfio/vfio_main.c:vfio_set_irqs_validate_and_prepare";

export const rule = clauses({
  "VFIO-DEV-IRQ-1": {
    rule: "the struct must be readable",
    errno: "EFAULT",
    source: header("VFIO_DEVICE_GET_IRQ_INFO"),
  },
  "VFIO-DEV-IRQ-2": { rule: "argsz must cover count", errno: "EINVAL", source: header("VFIO_DEVICE_GET_IRQ_INFO") },
  "VFIO-DEV-IRQ-3": {
    rule: "the index must be one that the device has",
    errno: "EINVAL",
    source: header("VFIO_DEVICE_GET_IRQ_INFO"),
  },
  "VFIO-DEV-IRQ-4": {
    rule: "the struct must be writable",
    errno: "EFAULT",
    source: header("VFIO_DEVICE_GET_IRQ_INFO"),
  },
  "VFIO-DEV-IRQ-5": {
    rule: "flags and count are those of the index",
    source: header("VFIO_DEVICE_GET_IRQ_INFO"),
    observable: "output",
  },
  "VFIO-DEV-IRQ-6": {
    rule: "an interrupt type that the device does not implement has a count of 0",
    source: header("VFIO_PCI_NUM_IRQS"),
    observable: "output",
  },
  "VFIO-DEV-IRQS-1": { rule: "the struct must be readable", errno: "EFAULT", source: header("VFIO_DEVICE_SET_IRQS") },
  "VFIO-DEV-IRQS-2": {
    rule: "argsz must cover count, the index be one that the device has, the flags be known, and start and count not overflow",
    errno: "EINVAL",
    source: prepare,
  },
  "VFIO-DEV-IRQS-3": {
    rule: "start and count must lie within the interrupts of the index",
    errno: "EINVAL",
    source: prepare,
  },
  "VFIO-DEV-IRQS-4": {
    rule: "there must be exactly one kind of data, as much as count says",
    errno: "EINVAL",
    source: prepare,
  },
  "VFIO-DEV-IRQS-5": { rule: "the data must be readable", errno: "EFAULT", source: header("VFIO_DEVICE_SET_IRQS") },
});

/** Bits of vfio_irq_info.flags. */
export const IRQ_INFO = { EVENTFD: 1, MASKABLE: 2, AUTOMASKED: 4, NORESIZE: 8 } as const;
/** Bits of vfio_irq_set.flags. */
export const IRQ_SET = { NONE: 1, BOOL: 2, EVENTFD: 4, MASK: 8, UNMASK: 16, TRIGGER: 32 } as const;
const DATA = IRQ_SET.NONE | IRQ_SET.BOOL | IRQ_SET.EVENTFD;
/** The bits that say what is to be done. */
export const IRQ_ACTION = IRQ_SET.MASK | IRQ_SET.UNMASK | IRQ_SET.TRIGGER;

const IrqInfo = layout("vfio_irq_info", {
  argsz: field.argsz(),
  flags: field.out32(),
  index: field.value32(0, 1, 2, 4, 3, 5, 0xffff_ffff),
  count: field.out32(),
});

const { NONE, BOOL, EVENTFD, MASK, UNMASK, TRIGGER } = IRQ_SET;

const IrqSet = layout(
  "vfio_irq_set",
  {
    argsz: field.argsz(),
    flags: field.value32(
      EVENTFD | TRIGGER,
      ...[NONE | TRIGGER, NONE | TRIGGER, NONE | MASK, NONE | UNMASK, BOOL | TRIGGER, BOOL | MASK, BOOL | UNMASK],
      ...[EVENTFD | MASK, EVENTFD | UNMASK, EVENTFD, NONE | MASK | TRIGGER, TRIGGER, NONE | EVENTFD | TRIGGER, 0x40],
    ),
    index: field.value32(0, 0, 1, 2, 4, 5),
    start: field.value32(0, 0, 1, 4, 5, 0xffff_fffe),
    count: field.value32(1, 0, 2, 5, 0xffff_ffff),
  },
  { name: "data", width: 4, signed: true, meaning: { kind: "fd", of: ["eventfd"] }, count: "count" },
);
const SET_MINSZ = offsetOfEnd(IrqSet, "count");

const useful = (_k: Kernel, file: DeviceFile): boolean => file.accessGranted;

export const getIrqInfo: Ioctl<DeviceFile> = ioctl<DeviceFile>({
  name: "VFIO_DEVICE_GET_IRQ_INFO",
  request: DEVICE_REQUEST.GET_IRQ_INFO,
  argument: { kind: "struct", layout: IrqInfo },
  on: ["device"],
  weight: 0.1,
  useful,
  run: (k, file, arg) => file.device.ops.ioctl(k, file, getIrqInfo, arg),
});

export const setIrqs: Ioctl<DeviceFile> = ioctl<DeviceFile>({
  name: "VFIO_DEVICE_SET_IRQS",
  request: DEVICE_REQUEST.SET_IRQS,
  argument: { kind: "struct", layout: IrqSet },
  on: ["device"],
  weight: 0.1,
  useful,
  run: (k, file, arg) => file.device.ops.ioctl(k, file, setIrqs, arg),
});

/** What a driver says of the interrupts of an index. */
export interface IrqDescription {
  /** Left out: what the caller had there stays. */
  readonly flags?: number;
  readonly count: number;
}

/** Answers GET_IRQ_INFO for a driver; `describe` refuses an index that there is not. */
export function answerIrqInfo(k: Kernel, block: UserBlock, describe: (index: number) => IrqDescription): void {
  block.copyFrom(IrqInfo.size, rule["VFIO-DEV-IRQ-1"]);
  must(block.u32(0) >= IrqInfo.size, rule["VFIO-DEV-IRQ-2"]);
  const { flags, count } = describe(block.u32(8));
  const image = block.bytes.slice(0, IrqInfo.size);
  const view = new DataView(image.buffer);
  if (flags !== undefined) view.setUint32(4, flags, true);
  view.setUint32(12, count, true);
  block.copyTo(image, 0, IrqInfo.size, rule["VFIO-DEV-IRQ-4"]);
  k.keeps(count === 0 ? rule["VFIO-DEV-IRQ-6"] : rule["VFIO-DEV-IRQ-5"]);
}

/** struct vfio_irq_set, checked. */
export interface IrqSetRequest {
  readonly flags: number;
  readonly index: number;
  readonly start: number;
  readonly count: number;
  /** `count` descriptors, or bytes that are 0 or not; empty where there is no data. */
  readonly data: readonly number[];
}

/** vfio_set_irqs_validate_and_prepare, with what comes before and after it: `irqsOf` an index, and so many indexes. */
export function readIrqSet(
  k: Kernel,
  block: UserBlock,
  irqsOf: (index: number) => number,
  indexes: number,
): IrqSetRequest {
  block.copyFrom(SET_MINSZ, rule["VFIO-DEV-IRQS-1"]);
  const [argsz, flags, index, start, count] = [0, 4, 8, 12, 16].map((offset) => block.u32(offset)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  must(
    argsz >= SET_MINSZ && index < indexes && count < 0xffff_ffff - start && (flags & ~(DATA | IRQ_ACTION)) === 0,
    rule["VFIO-DEV-IRQS-2"],
  );
  const irqs = irqsOf(index);
  must(start < irqs && start + count <= irqs, rule["VFIO-DEV-IRQS-3"]);
  const kind = flags & DATA;
  must(kind === NONE || kind === BOOL || kind === EVENTFD, rule["VFIO-DEV-IRQS-4"]);
  const size = kind === NONE ? 0 : kind === BOOL ? count : 4 * count;
  must(argsz - SET_MINSZ >= size, rule["VFIO-DEV-IRQS-4"]);
  if (size > 0) {
    k.alloc();
    block.copyFrom(SET_MINSZ + size, rule["VFIO-DEV-IRQS-5"], SET_MINSZ);
  }
  const data = Array.from({ length: size === 0 ? 0 : count }, (_, i) =>
    kind === BOOL ? (block.bytes[SET_MINSZ + i] ?? 0) : block.s32(SET_MINSZ + 4 * i),
  );
  if (kind === EVENTFD && (flags & TRIGGER) !== 0) for (const fd of data) toBeSignalled(k, fd);
  return { flags, index, start, count, data };
}

/** Notes that a device may signal an eventfd from now on. What comes of one that writes to registers can't be told. */
function toBeSignalled(k: Kernel, fd: number): void {
  const file = k.fds.get(fd);
  if (!(file instanceof EventFile)) return;
  if (file.counter.waiters.some((waiter) => waiter.writesRegisters)) {
    throw new Unmodelled("interrupts that write to registers");
  }
  file.counter.signalled = true;
}
