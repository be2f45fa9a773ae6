/**
 * QEMU's device for teaching: what its registers hold, how it interrupts, and what it copies. After its description in
 * QEMU's docs/specs/edu. No reset changes any of it.
 */
import { Unmodelled } from "../kernel/operation.ts";
import type { AccessWidth } from "../program.ts";
import { EduBuffer } from "./edu-buffer.ts";
import type { BarStore, Hardware, LeftWork, MemoryBus, RegisterStore, Signalling } from "./hardware.ts";

const REGISTER = {
  IDENTIFICATION: 0x00,
  LIVENESS: 0x04,
  FACTORIAL: 0x08,
  STATUS: 0x20,
  INTERRUPT_STATUS: 0x24,
  INTERRUPT_RAISE: 0x60,
  INTERRUPT_ACKNOWLEDGE: 0x64,
  DMA_SOURCE: 0x80,
  DMA_DESTINATION: 0x88,
  DMA_COUNT: 0x90,
  DMA_COMMAND: 0x98,
} as const;

const IDENTIFICATION = 0x0100_00edn;
/** Where registers begin that are eight bytes wide. */
const WIDE = 0x80;
/** Of the status register: an interrupt is raised once a factorial is computed. */
const INTERRUPTS_WHEN_DONE = 0x80n;
/** Bits of the command register: begin to copy, to memory, and interrupt when done. */
const COMMAND = { START: 1n, TO_MEMORY: 2n, INTERRUPT: 4n } as const;
/** What an interrupt after a copy has in the interrupt status. */
const COPIED = 0x100n;
/** A copy is done 100 ms after it was begun. */
const COPY_NS = 110_000_000;
const ONLY_VECTOR = [0];

export class Edu implements Hardware {
  static readonly VENDOR = 0x1234;
  static readonly DEVICE = 0x11e8;
  static readonly REGISTER = REGISTER;
  static readonly COMMAND = COMMAND;
  static readonly BUFFER = EduBuffer;
  static readonly LEFT: LeftWork = { from: REGISTER.DMA_COMMAND, to: REGISTER.DMA_COMMAND + 8, nanoseconds: COPY_NS };
  /**
   * Brings all registers back to what they are in the beginning: the liveness check keeps what is written, inverted. The
   * buffer is filled with zeros, which is what a device that is no bus master reads.
   */
  static readonly RESTORE: readonly RegisterStore[] = [
    { at: REGISTER.LIVENESS, width: 4, value: 0xffff_ffff },
    { at: REGISTER.STATUS, width: 4, value: 0 },
    { at: REGISTER.DMA_SOURCE, width: 8, value: 0 },
    { at: REGISTER.DMA_DESTINATION, width: 8, value: EduBuffer.AT },
    { at: REGISTER.DMA_COUNT, width: 8, value: EduBuffer.MOST },
    { at: REGISTER.DMA_COMMAND, width: 8, value: Number(COMMAND.START), busyNs: COPY_NS },
    { at: REGISTER.DMA_DESTINATION, width: 8, value: 0 },
    { at: REGISTER.DMA_COUNT, width: 8, value: 0 },
    { at: REGISTER.INTERRUPT_ACKNOWLEDGE, width: 4, value: 0xffff_ffff },
  ];

  readonly throttled = false;
  line = false;
  #how: Signalling = "line";
  #liveness = 0n;
  #status = 0n;
  #interrupts = 0n;
  #dma: ReadonlyMap<number, bigint> = new Map();
  readonly #buffer = new EduBuffer();

  read(_bar: number, at: number, width: AccessWidth): bigint {
    // QEMU answers in the device's place where the device takes no access of that width.
    if (width < 4) return 0n;
    return BigInt.asUintN(8 * width, width === 8 && at < WIDE ? -1n : this.#register(at));
  }

  #register(at: number): bigint {
    switch (at) {
      case REGISTER.IDENTIFICATION:
        return IDENTIFICATION;
      case REGISTER.LIVENESS:
        return this.#liveness;
      case REGISTER.FACTORIAL:
        return 0n;
      case REGISTER.STATUS:
        return this.#status;
      case REGISTER.INTERRUPT_STATUS:
        return this.#interrupts;
      case REGISTER.DMA_SOURCE:
      case REGISTER.DMA_DESTINATION:
      case REGISTER.DMA_COUNT:
      case REGISTER.DMA_COMMAND:
        return this.#dma.get(at) ?? 0n;
      default:
        return -1n;
    }
  }

  foresee(_bar: number, stores: readonly BarStore[], bus: MemoryBus): readonly number[] {
    let dma = this.#dma;
    let raises = false;
    for (const store of stores) {
      if (!takes(store)) continue;
      // A thread of QEMU's computes it, in time of its own.
      if (store.at === REGISTER.FACTORIAL) throw new Unmodelled("when a factorial is computed");
      dma = withStore(dma, store);
      if (starts(store)) this.#buffer.foresee(transferOf(dma), bus);
      raises ||= this.#raises(store);
    }
    return raises ? ONLY_VECTOR : [];
  }

  #raises(store: BarStore): boolean {
    if (starts(store)) return (store.value & COMMAND.INTERRUPT) !== 0n;
    return store.at === REGISTER.INTERRUPT_RAISE && (this.#interrupts | store.value) !== 0n;
  }

  write(_bar: number, store: BarStore, bus: MemoryBus): readonly number[] {
    const { at, value } = store;
    if (!takes(store)) return [];
    switch (at) {
      case REGISTER.LIVENESS:
        this.#liveness = BigInt.asUintN(32, ~value);
        return [];
      case REGISTER.STATUS:
        this.#status = value & INTERRUPTS_WHEN_DONE;
        return [];
      case REGISTER.INTERRUPT_RAISE:
        return this.#raise(value);
      case REGISTER.INTERRUPT_ACKNOWLEDGE:
        this.#interrupts &= ~value;
        if (this.#interrupts === 0n && this.#how === "line") this.line = false;
        return [];
      default:
        this.#dma = withStore(this.#dma, store);
        if (!starts(store)) return [];
        this.#buffer.copy(transferOf(this.#dma), bus);
        return (value & COMMAND.INTERRUPT) !== 0n ? this.#raise(COPIED) : [];
    }
  }

  /** Interrupts for what is in the interrupt status; gives the vector of its message. */
  #raise(reasons: bigint): readonly number[] {
    this.#interrupts |= reasons;
    if (this.#interrupts === 0n) return [];
    if (this.#how !== "line") return ONLY_VECTOR;
    this.line = true;
    return [];
  }

  signalBy(how: Signalling): void {
    this.#how = how;
    if (how !== "line") this.line = false;
  }

  disturb(): void {}

  trace(): number {
    let sum = Number((this.#liveness ^ (this.#interrupts << 7n) ^ (this.#status << 3n)) & 0x3fff_ffffn);
    for (const [at, value] of this.#dma) sum = (sum + Math.imul(at, Number(value & 0xffff_ffffn))) | 0;
    return ((sum + this.#buffer.trace) << 1) | (this.line ? 1 : 0);
  }
}

/** Whether the device takes a store of that width there. */
function takes({ at, width }: BarStore): boolean {
  if (at % width !== 0) return false;
  return at < WIDE ? width === 4 : width >= 4;
}

/** Whether a store begins a copy. */
function starts({ at, value }: BarStore): boolean {
  return at === REGISTER.DMA_COMMAND && (value & COMMAND.START) !== 0n;
}

/** The registers of a copy after a store. The command is one that begins a copy, and has that bit until it is done. */
function withStore(dma: ReadonlyMap<number, bigint>, store: BarStore): ReadonlyMap<number, bigint> {
  const { at, value } = store;
  if (at === REGISTER.DMA_COMMAND) return starts(store) ? new Map(dma).set(at, value & ~COMMAND.START) : dma;
  const isRegister = at === REGISTER.DMA_SOURCE || at === REGISTER.DMA_DESTINATION || at === REGISTER.DMA_COUNT;
  return isRegister ? new Map(dma).set(at, value) : dma;
}

function transferOf(dma: ReadonlyMap<number, bigint>) {
  return {
    source: dma.get(REGISTER.DMA_SOURCE) ?? 0n,
    destination: dma.get(REGISTER.DMA_DESTINATION) ?? 0n,
    count: dma.get(REGISTER.DMA_COUNT) ?? 0n,
    toMemory: ((dma.get(REGISTER.DMA_COMMAND) ?? 0n) & COMMAND.TO_MEMORY) !== 0n,
  };
}
