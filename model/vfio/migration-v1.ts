/**
 * Migration by a region, as the header described it from 5.8 to 5.17: registers that a state is written to and data is announced
 * by, and the data behind them. History: no driver of Linux ever had such a region, those of vendors outside did. Beside
 * struct vfio_device_migration_info of include/uapi/linux/vfio.h.
 */
import { clauses, must } from "../kernel/clause.ts";
import type { Transfer } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { PAGE } from "../kernel/memory-map.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import type { DeviceRegion } from "../vfio-pci/core-device.ts";
import { REGION_FLAGS } from "./device-info.ts";

const history = {
  until: "5.17",
  machine: "variants",
  source: "include/uapi/linux/vfio.h:vfio_device_migration_info",
} as const;

export const rule = clauses({
  "VFIO-MIG-V1-1": {
    ...history,
    rule: "registers are accessed one at a time, whole and where they begin",
    errno: "EINVAL",
  },
  "VFIO-MIG-V1-2": { ...history, rule: "the buffer must be writable, or readable", errno: "EFAULT" },
  "VFIO-MIG-V1-3": {
    ...history,
    rule: "a device that resumes neither runs nor saves: such states are refused, and the device stays in its own",
    errno: "EINVAL",
  },
  "VFIO-MIG-V1-4": {
    ...history,
    rule: "the bits above the state are kept for later: they read as zero, and what is written there is not looked at",
  },
  "VFIO-MIG-V1-5": {
    ...history,
    rule: "data is there where data_offset says once that was read, data_size bytes of it, until pending_bytes is read again",
    observable: "output",
  },
  "VFIO-MIG-V1-6": {
    ...history,
    rule: "where no data was announced, or none is taken, there is none to be read or written",
    errno: "EINVAL",
  },
  "VFIO-MIG-V1-7": {
    ...history,
    rule: "data that was written is taken when its size is written to data_size, and not before",
    observable: "later-call",
  },
  "VFIO-MIG-V1-8": {
    ...history,
    rule: "a device does not run before it has all of the state that it resumes",
    errno: "EINVAL",
  },
  "VFIO-MIG-V1-9": {
    ...history,
    rule: "a device that was reset runs, whatever state it was in",
    observable: "later-call",
  },
});

/** Bits of device_state. */
export const V1 = { STOP: 0, RUNNING: 1, SAVING: 2, RESUMING: 4 } as const;
const MASK = V1.RUNNING | V1.SAVING | V1.RESUMING;

/** Registers by offset and width. */
export const AT = { STATE: 0, RESERVED: 4, PENDING: 8, DATA_OFFSET: 16, DATA_SIZE: 24 } as const;
const WIDTHS = new Map<number, 4 | 8>([
  [AT.STATE, 4],
  [AT.RESERVED, 4],
  [AT.PENDING, 8],
  [AT.DATA_OFFSET, 8],
  [AT.DATA_SIZE, 8],
]);
const REGISTERS_END = 32;

/** VFIO_REGION_TYPE_MIGRATION, and its only subtype */
const TYPE = 3;
const SUBTYPE = 1;

/** Ways from one state to another that the header draws. */
const DRAWN = new Map<number, readonly number[]>([
  [V1.RUNNING, [V1.STOP, V1.SAVING, V1.SAVING | V1.RUNNING, V1.RESUMING]],
  [V1.SAVING | V1.RUNNING, [V1.SAVING]],
  [V1.SAVING, [V1.STOP]],
  [V1.RESUMING, [V1.RUNNING]],
]);

/** The region of a device; `whole` is its state, of which a user gets so many bytes at a time. */
export class MigrationRegion implements DeviceRegion {
  readonly type = TYPE;
  readonly subtype = SUBTYPE;
  readonly flags = REGION_FLAGS.READ | REGION_FLAGS.WRITE;
  readonly capabilities = [];
  readonly size: number;
  readonly #whole: Uint8Array;
  readonly #part: number;
  #state: number = V1.RUNNING;
  /** Bytes of the state that were taken, and those that are announced beside them. */
  #taken = 0;
  #announced = 0;
  /** What was put into the data section, and what came of it. */
  readonly #section: Uint8Array;
  #came = 0;

  constructor(whole: Uint8Array, part: number) {
    this.#whole = whole;
    this.#part = part;
    this.#section = new Uint8Array(part);
    this.size = PAGE + part;
  }

  get #saves(): boolean {
    return (this.#state & V1.SAVING) !== 0;
  }

  *read(k: Kernel, { block, count }: Transfer, offset: number): Operation<number> {
    const image = block.bytes.slice();
    if (offset < REGISTERS_END) {
      must(WIDTHS.get(offset) === count, rule["VFIO-MIG-V1-1"]);
      must(block.canWrite(count), rule["VFIO-MIG-V1-2"]);
      const view = new DataView(image.buffer);
      if (count === 4) view.setUint32(0, offset === AT.STATE ? this.#state : 0, true);
      else view.setBigUint64(0, BigInt(this.#register(offset)), true);
      block.copyTo(image, 0, count, rule["VFIO-MIG-V1-2"]);
      if (offset === AT.STATE) k.keeps(rule["VFIO-MIG-V1-4"]);
      return count;
    }
    const at = offset - PAGE;
    must(at >= 0 && this.#saves && at + count <= this.#announced, rule["VFIO-MIG-V1-6"]);
    image.set(this.#whole.subarray(this.#taken + at, this.#taken + at + count));
    block.copyTo(image, 0, count, rule["VFIO-MIG-V1-2"]);
    k.keeps(rule["VFIO-MIG-V1-5"]);
    return count;
  }

  /** What a register of eight bytes reads as, and what reading it does. */
  #register(offset: number): number {
    const left = this.#saves && !(this.#state & V1.RUNNING) ? this.#whole.length - this.#taken : 0;
    switch (offset) {
      case AT.PENDING: {
        const before = this.#announced;
        this.#taken += before;
        this.#announced = 0;
        return left - before;
      }
      case AT.DATA_OFFSET:
        this.#announced = Math.min(left, this.#part);
        return PAGE;
      default:
        return this.#announced;
    }
  }

  *write(k: Kernel, { block, count }: Transfer, offset: number): Operation<number> {
    if (offset < REGISTERS_END) {
      must(WIDTHS.get(offset) === count, rule["VFIO-MIG-V1-1"]);
      block.copyFrom(count, rule["VFIO-MIG-V1-2"]);
      if (offset === AT.STATE) this.#setState(block.u32(0) & MASK);
      else if (offset === AT.DATA_SIZE) this.#take(k, block.u64(0));
      return count;
    }
    const at = offset - PAGE;
    must(at >= 0 && this.#state === V1.RESUMING && at + count <= this.#part, rule["VFIO-MIG-V1-6"]);
    block.copyFrom(count, rule["VFIO-MIG-V1-2"]);
    this.#section.set(block.bytes.subarray(0, count), at);
    return count;
  }

  #setState(wanted: number): void {
    must((wanted & V1.RESUMING) === 0 || wanted === V1.RESUMING, rule["VFIO-MIG-V1-3"]);
    if (wanted === this.#state) return;
    if (!DRAWN.get(this.#state)?.includes(wanted)) throw new Unmodelled("a way between states that no header draws");
    if (this.#state === V1.RESUMING) must(this.#came >= this.#whole.length, rule["VFIO-MIG-V1-8"]);
    this.#state = wanted;
    this.#taken = 0;
    this.#announced = 0;
    this.#came = 0;
  }

  #take(k: Kernel, size: bigint): void {
    must(this.#state === V1.RESUMING && size <= BigInt(this.#part), rule["VFIO-MIG-V1-6"]);
    const data = this.#section.subarray(0, Number(size));
    if (Buffer.compare(data, this.#whole.subarray(this.#came, this.#came + data.length)) !== 0) {
      throw new Unmodelled("what a device makes of a state that none like it has saved");
    }
    this.#came += data.length;
    k.keeps(rule["VFIO-MIG-V1-7"]);
  }

  /** The device was reset. */
  reset(k: Kernel): void {
    if (this.#state !== V1.RUNNING) k.keeps(rule["VFIO-MIG-V1-9"]);
    this.#state = V1.RUNNING;
    this.#taken = 0;
    this.#announced = 0;
    this.#came = 0;
  }
}

export const steps = {
  /** A device whose driver has such a region shows it while it is open. */
  init(k: Kernel, { spec: { traits }, regions }: PciFunction): void {
    if (traits?.kind !== "migration-v1" || k.since("5.18")) return;
    const whole = Uint8Array.from({ length: traits.stateSize }, (_, at) => at & 0xff);
    regions.push(new MigrationRegion(whole, traits.partSize));
  },

  resetDone(k: Kernel, { regions }: PciFunction): void {
    for (const region of regions) if (region instanceof MigrationRegion) region.reset(k);
  },
};
