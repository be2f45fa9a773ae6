/** Targets: systems under test. Each says what it is, and carries programs out. */

import type { Profile } from "../model/profile.ts";
import type { Outcome, Program } from "../model/program.ts";
import type { Topology } from "../model/topology.ts";
import { splats } from "./kernel-log.ts";

/** What a target says of itself; goes into results. */
export interface TargetAbout {
  readonly kind: "model" | "qemu" | "host";
  /** One line for people: `Linux 7.2.12 (plain) in QEMU, machine iommu`. */
  readonly name: string;
  /** uname -r, where there is a kernel. */
  readonly release?: string;
  readonly flavour?: string;
  readonly version: string;
  /** The Kconfig options that the model knows, as they are set. */
  readonly kconfig: readonly string[];
  /** Things that a reader of the results should know, one sentence each. */
  readonly notes: readonly string[];
}

/** How a program ended. */
export type RunEnd =
  | { readonly kind: "done" }
  /** Did not come back from this call; where it was in the kernel, as far as that could be read. */
  | { readonly kind: "hung"; readonly call: number; readonly stack: string }
  | { readonly kind: "signal"; readonly signal: number; readonly call: number }
  /** The system under test was lost while it ran; `why` is a sentence, `console` its last words. */
  | { readonly kind: "died"; readonly why: string; readonly console: string }
  /** It was never run, and why. */
  | { readonly kind: "not-run"; readonly why: string };

/** What came of a program on a target. */
export interface ProgramRun {
  readonly program: Program;
  /** One outcome per call that was made. */
  readonly outcomes: readonly Outcome[];
  readonly end: RunEnd;
  /** What the kernel logged meanwhile, a line per record. */
  readonly log: string;
  /** What was not as it was before once the program had ended and was cleaned up after, a sentence each. */
  readonly leaks: readonly string[];
}

/** Whether the system is not as it was before the program, or has reported a bug: no other program may start from there. */
export function leavesTraces({ leaks, log }: ProgramRun): boolean {
  return leaks.length > 0 || splats(log).length > 0;
}

export interface Target extends AsyncDisposable {
  readonly about: TargetAbout;
  /** The machine as it really is; the model is given the same. */
  readonly topology: Topology;
  readonly profile: Profile;
  /** Runs programs in order and gives their runs in the same order. Survives the loss of the system under test. */
  run(programs: Iterable<Program>): AsyncIterable<ProgramRun>;
  /**
   * To be asked when no more programs come: runs of programs that something was found out about only now. One of these, as any
   * that `run` gives out of order, may be of a program of an earlier `run`. Left out by targets that find out at once.
   */
  settle?(): AsyncIterable<ProgramRun>;
}

/** A target that can't be brought up or was lost for good; the message is one sentence that says what to do. */
export class TargetError extends Error {
  override readonly name = "TargetError";
}
