/** Invariants: what must hold after every call. */
import type { Machine } from "../../model/machine.ts";
import type { Call } from "../../model/program.ts";
import type { DeviceFile, VfioDevice } from "../../model/vfio/device.ts";
import type { Seen } from "./seen.ts";

/** What state invariants look at, gathered once per call for all of them. */
export interface StateView {
  readonly machine: Machine;
  /** Every registered VFIO device. */
  readonly devices: readonly VfioDevice[];
  /** Device files that descriptors name, one entry per descriptor. */
  readonly deviceFiles: readonly DeviceFile[];
}

/** Held against the model's state after every call. */
export interface StateInvariant {
  readonly kind: "state";
  readonly id: string;
  /** What holds, in one line. */
  readonly title: string;
  /** What is wrong, or undefined while it holds. Called after every call: it must be cheap. */
  broken(view: StateView): string | undefined;
}

/** Held against what a program did and saw, whoever carried it out. */
export interface HistoryInvariant {
  readonly kind: "history";
  readonly id: string;
  readonly title: string;
  /**
   * What is wrong with the return value of a call, or with its struct as the call left it, or undefined; `seen` is what the
   * calls before it showed.
   */
  broken(seen: Seen, call: Call, ret: number, struct: Uint8Array | undefined): string | undefined;
}

export type Invariant = StateInvariant | HistoryInvariant;

/** An invariant that did not hold. */
export interface Violation {
  readonly invariant: string;
  readonly what: string;
  /** Index of the call after which it showed. */
  readonly at: number;
}
