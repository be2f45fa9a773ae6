/**
 * Deviations: places where a real kernel is known to differ from what is right.
 *
 * A deviation replaces one step of the model by what the kernel does instead, and says whenever that made a difference.
 * Its evidence is a program that anyone can replay.
 */
import type { Kernel } from "../../model/kernel/kernel.ts";
import { Unmodelled } from "../../model/kernel/operation.ts";
import type { Version } from "../../model/uapi/version.ts";

export interface Deviation {
  readonly id: string;
  /** What the kernel does, in one line. */
  readonly title: string;
  /** The clause or invariant that it breaks. */
  readonly clause: string;
  /** First kernel that was seen to do it, and the last, once there is one that does not. */
  readonly since: Version;
  readonly until?: Version;
  /** Where in the kernel: `file:function`. */
  readonly source: string;
  /** Upstream's word on it: a fix, a thread, or that none is known. */
  readonly upstream: string;
  /** Name of the scenario that shows it. */
  readonly evidence: string;
  /** Reports in the kernel's log that it explains. */
  readonly log?: RegExp;
  /** Nothing but that report shows it, so that a run has met it when the report is there. */
  readonly onlyLogged?: boolean;
  /**
   * It corrupts the kernel, or makes it useless: programs must not get there on such a kernel, unless it is what they are
   * for. Its `apply` throws Ruined where the way parts.
   */
  readonly destructive?: boolean;
  /** Whether a call has met it can't be told by the call: it is taken to be there only where a run differs without it. */
  readonly perhaps?: boolean;
  /** Puts the kernel's behaviour in place of the model's; calls `fired` whenever the two part. */
  apply(k: Kernel, fired: () => void): void;
}

/** Thrown where a destructive deviation strikes: what the kernel does from there on is no longer its own. */
export class Ruined extends Unmodelled {
  /** The deviation's id. */
  readonly by: string;
  constructor(what: string, by: string) {
    super(`${what} (${by})`);
    this.by = by;
  }
}
