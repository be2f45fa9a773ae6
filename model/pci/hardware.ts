/** What lies behind a function's BARs. Hardware that the suite knows is a device model of its own; of all other nobody knows. */
import type { AccessWidth } from "../program.ts";
import type { FunctionSpec } from "../topology.ts";
import { Edu } from "./edu.ts";

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

export interface Hardware {
  /** Whether it pulls its interrupt line. */
  readonly line: boolean;
  /** What a load from a BAR brings, at a multiple of its width. */
  read(bar: number, at: number, width: AccessWidth): bigint;
  /** Throws Unmodelled where nobody knows what stores do, one after the other. */
  foresee(bar: number, stores: readonly BarStore[], bus: MemoryBus): void;
  /** Whether a store asks for an interrupt. */
  raises(bar: number, store: BarStore): boolean;
  /** A store to a BAR; with `messages` it interrupts by MSI, and not by its line. Gives whether it sends a message. */
  write(bar: number, store: BarStore, messages: boolean, bus: MemoryBus): boolean;
  /** MSI was enabled: the line is let go (PCI Local Bus 3.0, 6.8.1). */
  enableMessages(): void;
  /** A number for the content of all registers; 0 where it is as it is in the beginning. */
  trace(): number;
}

/** The hardware of a function, or null where the suite does not know it. */
export function hardwareOf({ vendor, device }: FunctionSpec): Hardware | null {
  return vendor === Edu.VENDOR && device === Edu.DEVICE ? new Edu() : null;
}

/** Stores to BAR 0 that bring a function's registers back to what they are in the beginning. */
export function restoringStores({ vendor, device }: FunctionSpec): readonly RegisterStore[] {
  return vendor === Edu.VENDOR && device === Edu.DEVICE ? Edu.RESTORE : [];
}
