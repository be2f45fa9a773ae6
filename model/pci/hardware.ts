/** What lies behind a function's BARs. Hardware that the suite knows is a device model of its own; of all other nobody knows. */
import type { AccessWidth } from "../program.ts";
import type { FunctionSpec } from "../topology.ts";
import { Edu } from "./edu.ts";

/** A store to a register of BAR 0. */
export interface RegisterStore {
  readonly at: number;
  readonly width: AccessWidth;
  readonly value: number;
}

export interface Hardware {
  /** Whether it pulls its interrupt line. */
  readonly line: boolean;
  /** What a load from a BAR brings, at a multiple of its width. */
  read(bar: number, at: number, width: AccessWidth): bigint;
  /** Throws Unmodelled where nobody knows what a store does. */
  foresee(bar: number, at: number, width: AccessWidth, value: bigint): void;
  /** Whether a store asks for an interrupt. */
  raises(bar: number, at: number, width: AccessWidth, value: bigint): boolean;
  /** A store to a BAR; with `messages` it interrupts by MSI, and not by its line. Gives whether it sends a message. */
  write(bar: number, at: number, width: AccessWidth, value: bigint, messages: boolean): boolean;
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
