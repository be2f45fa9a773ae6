/** Linux 5.12 to 6.2: a process that gives another's mapping a new address has it for nothing, as after an exec of its own. */
import type { Fault } from "./fault.ts";

export const type1NewOwnerUncounted: Fault = {
  id: "type1-new-owner-uncounted",
  title: "pages of a mapping with a new address do not count for the process that gave it",
  cites: "90fdd158a695 vfio/type1: restore locked_vm (6.3)",
  breaks: "difference",
  shownBy: "type1",
  apply(k) {
    k.type1 = { ...k.type1, *changeOwner() {} };
  },
};
