/** All invariants. */
import { areasApart, areasInReach } from "./areas.ts";
import { auxiliaryNames, auxiliaryWithinParent, managedByTwo } from "./auxiliary.ts";
import { buffersAnswer, buffersTakenBack, buffersWithinBar } from "./buffers.ts";
import { bypassConnected, bypassLives, irqfdsApart, irqfdsLive } from "./bypass.ts";
import { DEVICE_INVARIANTS } from "./device.ts";
import { oneDriver, overrideBeatsIds, overrideOnly, vfioWhileBound } from "./drivers.ts";
import { faultsOfAttached } from "./faults.ts";
import { accessStays, gateBeforeAccess, hotResetNeedsOwnership } from "./history.ts";
import { limitsKept, pasidsOwn, portalsOwn, queueOneOwner } from "./idxd.ts";
import { intxMaskedWhilePulled } from "./interrupts.ts";
import { recordedVmsLive } from "./kvm.ts";
import { mdevsCounted, mdevsUnique } from "./mdevs.ts";
import { sessionByState } from "./migration.ts";
import { dmaDomain, dmaOneOwner } from "./ownership.ts";
import { pinnedWhileNeeded, pinsCounted } from "./pins.ts";
import {
  accessMonotone,
  groupXorCdev,
  inUseStays,
  lockOrder,
  locksDropped,
  oneCdevOpen,
  openDevicesAreBacked,
} from "./state.ts";

/** Every state invariant: they cost little, so each property has them all. */
export const STATE_INVARIANTS = [
  oneCdevOpen,
  groupXorCdev,
  accessMonotone,
  openDevicesAreBacked,
  dmaOneOwner,
  dmaDomain,
  inUseStays,
  faultsOfAttached,
  lockOrder,
  locksDropped,
  mdevsUnique,
  mdevsCounted,
  vfioWhileBound,
  auxiliaryNames,
  auxiliaryWithinParent,
  managedByTwo,
  queueOneOwner,
  portalsOwn,
  limitsKept,
  pasidsOwn,
  recordedVmsLive,
  irqfdsApart,
  irqfdsLive,
  bypassConnected,
  bypassLives,
  sessionByState,
  intxMaskedWhilePulled,
  areasApart,
  areasInReach,
  pinnedWhileNeeded,
  pinsCounted,
  buffersTakenBack,
  buffersAnswer,
  buffersWithinBar,
] as const;

export const HISTORY_INVARIANTS = [
  gateBeforeAccess,
  accessStays,
  hotResetNeedsOwnership,
  oneDriver,
  overrideBeatsIds,
  overrideOnly,
  ...DEVICE_INVARIANTS,
] as const;
