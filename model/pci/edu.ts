/**
 * QEMU's device for teaching: what its registers hold, and how it interrupts. After its description in QEMU's
 * docs/specs/edu. No reset changes them.
 */
import { Unmodelled } from "../kernel/operation.ts";
import type { AccessWidth } from "../program.ts";
import type { Hardware, RegisterStore } from "./hardware.ts";

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
/** Of the command register: begin to copy. */
const START = 1n;

export class Edu implements Hardware {
  static readonly VENDOR = 0x1234;
  static readonly DEVICE = 0x11e8;
  static readonly REGISTER = REGISTER;
  /** Brings all registers back to what they are in the beginning: the liveness check keeps what is written, inverted. */
  static readonly RESTORE: readonly RegisterStore[] = [
    { at: REGISTER.INTERRUPT_ACKNOWLEDGE, width: 4, value: 0xffff_ffff },
    { at: REGISTER.LIVENESS, width: 4, value: 0xffff_ffff },
    { at: REGISTER.STATUS, width: 4, value: 0 },
    { at: REGISTER.DMA_SOURCE, width: 8, value: 0 },
    { at: REGISTER.DMA_DESTINATION, width: 8, value: 0 },
    { at: REGISTER.DMA_COUNT, width: 8, value: 0 },
  ];

  line = false;
  #liveness = 0n;
  #status = 0n;
  #interrupts = 0n;
  readonly #dma = new Map<number, bigint>();

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

  foresee(_bar: number, at: number, width: AccessWidth, value: bigint): void {
    if (!takes(at, width)) return;
    if (at === REGISTER.FACTORIAL) throw new Unmodelled("when a factorial is computed");
    if (at === REGISTER.DMA_COMMAND && value & START) throw new Unmodelled("when the device has copied memory");
  }

  raises(_bar: number, at: number, width: AccessWidth, value: bigint): boolean {
    return takes(at, width) && at === REGISTER.INTERRUPT_RAISE && (this.#interrupts | value) !== 0n;
  }

  write(_bar: number, at: number, width: AccessWidth, value: bigint, messages: boolean): boolean {
    if (!takes(at, width)) return false;
    switch (at) {
      case REGISTER.LIVENESS:
        this.#liveness = BigInt.asUintN(32, ~value);
        return false;
      case REGISTER.STATUS:
        this.#status = value & INTERRUPTS_WHEN_DONE;
        return false;
      case REGISTER.INTERRUPT_RAISE:
        this.#interrupts |= value;
        if (this.#interrupts === 0n) return false;
        if (!messages) this.line = true;
        return messages;
      case REGISTER.INTERRUPT_ACKNOWLEDGE:
        this.#interrupts &= ~value;
        if (this.#interrupts === 0n && !messages) this.line = false;
        return false;
      case REGISTER.DMA_SOURCE:
      case REGISTER.DMA_DESTINATION:
      case REGISTER.DMA_COUNT:
        this.#dma.set(at, value);
        return false;
      default:
        return false;
    }
  }

  enableMessages(): void {
    this.line = false;
  }

  trace(): number {
    let sum = Number((this.#liveness ^ (this.#interrupts << 7n) ^ (this.#status << 3n)) & 0x3fff_ffffn);
    for (const [at, value] of this.#dma) sum = (sum + Math.imul(at, Number(value & 0xffff_ffffn))) | 0;
    return (sum << 1) | (this.line ? 1 : 0);
  }
}

/** Whether the device takes a store of that width there. */
function takes(at: number, width: AccessWidth): boolean {
  if (at % width !== 0) return false;
  return at < WIDE ? width === 4 : width >= 4;
}
