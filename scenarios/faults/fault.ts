/**
 * Faults: historical or seeded bugs, each a small override of one step of the model in a file of its own. They show that
 * the checks bite: a campaign on the model with a fault must find it, without being told where to look.
 */
import type { MachineKind } from "../../model/kernel/clause.ts";
import type { Override } from "../../model/machine.ts";
import type { Version } from "../../model/uapi/version.ts";

export interface Fault extends Override {
  readonly title: string;
  /**
   * The upstream fix by its hash and title, and the release where they say more; "seeded" for a fault of our own making, "never
   * merged" and the mail for one of patches that no kernel took.
   */
  readonly cites: string;
  /** The invariant that it breaks; "difference" where only an answer goes wrong, "hang" where none comes. */
  readonly breaks: string;
  /** The property whose programs come to it soonest: for tests that have no time to hunt without a hint. */
  readonly shownBy: string;
  /** The kernel that it is a fault of, where that is not the newest: a profile of the suite. */
  readonly profile?: Version;
  /** The machine that has it, where one with an IOMMU has not. */
  readonly machine?: MachineKind;
}

/** Whether kernels had the fault: one that upstream fixed, not one of our own making or finding, nor of patches only. */
export function isHistorical({ cites }: Fault): boolean {
  return cites !== "seeded" && !cites.startsWith("none") && !cites.startsWith("never merged");
}
