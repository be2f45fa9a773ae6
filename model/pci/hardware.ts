/** What lies behind a function's BARs. Hardware that the suite knows is a device model of its own; of all other nobody knows. */
import type { AccessWidth } from "../program.ts";
import type { FunctionSpec } from "../topology.ts";
import { E1000e } from "./e1000e.ts";
import { Edu } from "./edu.ts";
import { parseRegisters } from "./register-text.ts";

/** A store to a register of BAR 0. */
export interface RegisterStore {
  readonly at: number;
  readonly width: AccessWidth;
  readonly value: number;
  /** Nanoseconds that the function is given for what it then does by itself. */
  readonly busyNs?: number;
}

/** A store to a BAR, at a multiple of its width. */
export interface BarStore {
  readonly at: number;
  readonly width: AccessWidth;
  readonly value: bigint;
}

/** Memory, as a function gets to it by itself. */
export interface MemoryBus {
  /** Throws Unmodelled where nobody knows what a transfer would meet. */
  foresee(address: bigint, length: number): void;
  read(address: bigint, length: number): Uint8Array;
  write(address: bigint, bytes: Uint8Array): void;
}

/** How a function interrupts: by its line, or by messages. */
export type Signalling = "line" | "msi" | "msix";

/** What stores to BAR 0, or loads from it, may leave to a device: registers from here to there, and how long it takes. */
export interface LeftWork {
  readonly from: number;
  readonly to: number;
  readonly nanoseconds: number;
}

export interface Hardware {
  /** Whether it pulls its interrupt line; null where nobody knows. */
  readonly line: boolean | null;
  /** Whether interrupts that follow each other too fast are put off. */
  readonly throttled: boolean;
  /** What a load from a BAR brings, at a multiple of its width; null where nobody knows. */
  read(bar: number, at: number, width: AccessWidth): bigint | null;
  /**
   * The vectors that are signalled by stores, one after the other; a line is vector 0. Throws Unmodelled where nobody knows
   * what they do.
   */
  foresee(bar: number, stores: readonly BarStore[], bus: MemoryBus): readonly number[];
  /** A store to a BAR. Gives the vectors whose messages are sent. */
  write(bar: number, store: BarStore, bus: MemoryBus): readonly number[];
  /** It interrupts that way from now on. What interrupts by messages lets its line go (PCI Local Bus 3.0, 6.8.1). */
  signalBy(how: Signalling): void;
  /** It was reset, or had no power, or another driver had it. */
  disturb(): void;
  /** A number for the content of all registers; 0 where it is as it is in the beginning. */
  trace(): number;
}

/** Hardware that the suite knows. */
interface Known {
  readonly is: (spec: FunctionSpec) => boolean;
  readonly make: () => Hardware;
  /** Whether it copies memory by itself. */
  readonly copies: boolean;
  readonly restore: readonly RegisterStore[];
  readonly left: LeftWork;
}

const SUBSYSTEM_AT = 0x2c;
/** QEMU's adapters give Intel's number and none for the board, which no adapter of Intel's does. */
const EMULATED_BOARD = 0x8086;

const KNOWN: readonly Known[] = [
  {
    is: ({ vendor, device }) => vendor === Edu.VENDOR && device === Edu.DEVICE,
    make: () => new Edu(),
    copies: true,
    restore: Edu.RESTORE,
    left: Edu.LEFT,
  },
  {
    is: (spec) =>
      spec.vendor === E1000e.VENDOR && spec.device === E1000e.DEVICE && subsystemOf(spec) === EMULATED_BOARD,
    make: () => new E1000e(),
    copies: false,
    restore: E1000e.RESTORE,
    left: E1000e.LEFT,
  },
];

function subsystemOf({ config, configSize }: FunctionSpec): number {
  const registers = parseRegisters(config, configSize);
  return new DataView(registers.buffer, registers.byteOffset).getUint32(SUBSYSTEM_AT, true);
}

const found = new WeakMap<FunctionSpec, Known | null>();

function knownOf(spec: FunctionSpec): Known | null {
  const before = found.get(spec);
  if (before !== undefined) return before;
  const known = KNOWN.find(({ is }) => is(spec)) ?? null;
  found.set(spec, known);
  return known;
}

/** The hardware of a function, or null where the suite does not know it. */
export function hardwareOf(spec: FunctionSpec): Hardware | null {
  return knownOf(spec)?.make() ?? null;
}

/** Whether the suite knows the hardware of a function. */
export function isHardwareKnown(spec: FunctionSpec): boolean {
  return knownOf(spec) !== null;
}

/** Whether the hardware of a function copies memory by itself. */
export function copiesMemory(spec: FunctionSpec): boolean {
  return knownOf(spec)?.copies ?? false;
}

/** Stores to BAR 0 that bring a function's registers back to what they are in the beginning. */
export function restoringStores(spec: FunctionSpec): readonly RegisterStore[] {
  return knownOf(spec)?.restore ?? [];
}

/** What accesses of BAR 0 may leave to devices. */
export const LEFT_WORK: readonly LeftWork[] = KNOWN.map(({ left }) => left);
