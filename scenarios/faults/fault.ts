/**
 * Faults: historical or seeded bugs, each a small override of one step of the model in a file of its own. They show that
 * the checks bite: a campaign on the model with a fault must find it.
 */
import type { Override } from "../../model/machine.ts";
import type { Version } from "../../model/uapi/version.ts";

export interface Fault extends Override {
  readonly title: string;
  /** The upstream fix by its title and hash, or "seeded" for one of our own making. */
  readonly cites: string;
  /** The invariant that it breaks, or "difference" where only an answer goes wrong. */
  readonly breaks: string;
  /** The property whose programs reach it. */
  readonly property: string;
  /** The kernel that it is a fault of, where it is not a fault of every one. */
  readonly profile?: Version;
}
