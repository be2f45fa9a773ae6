/** The faults of the suite. */
import { attachWrongErrno } from "./attach-wrong-errno.ts";
import { bindIgnoresGroup } from "./bind-ignores-group.ts";
import { bindLeavesBlock } from "./bind-leaves-block.ts";
import { closeByLastFile } from "./close-by-last-file.ts";
import { destroyInUse } from "./destroy-in-use.ts";
import { detachRevokesAccess } from "./detach-revokes-access.ts";
import type { Fault } from "./fault.ts";
import { hotResetUnowned } from "./hot-reset-unowned.ts";
import { kvmLockUnderDevSet } from "./kvm-lock-under-dev-set.ts";
import { lockKept } from "./lock-kept.ts";
import { noGate } from "./no-gate.ts";
import { secondCdevOpen } from "./second-cdev-open.ts";
import { statusAlwaysViable } from "./status-always-viable.ts";
import { vmNotPut } from "./vm-not-put.ts";

export const FAULTS: readonly Fault[] = [
  attachWrongErrno,
  bindIgnoresGroup,
  bindLeavesBlock,
  closeByLastFile,
  destroyInUse,
  detachRevokesAccess,
  hotResetUnowned,
  kvmLockUnderDevSet,
  lockKept,
  noGate,
  secondCdevOpen,
  statusAlwaysViable,
  vmNotPut,
];

/** The fault of that id, or undefined. */
export function findFault(id: string): Fault | undefined {
  return FAULTS.find((candidate) => candidate.id === id);
}
