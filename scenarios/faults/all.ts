/** The faults of the suite. */

import { accessEntryOverwritten } from "./access-entry-overwritten.ts";
import { accessLosesPins } from "./access-loses-pins.ts";
import { accessNotTold } from "./access-not-told.ts";
import { accessPinsBuffer } from "./access-pins-buffer.ts";
import { accessPinsMisaligned } from "./access-pins-misaligned.ts";
import { attachWrongErrno } from "./attach-wrong-errno.ts";
import { auxiliaryNumberedByParent } from "./auxiliary-numbered-by-parent.ts";
import { auxiliaryOutlivesParent } from "./auxiliary-outlives-parent.ts";
import { barAccessesHalved } from "./bar-accesses-halved.ts";
import { bindAsksNoToken } from "./bind-asks-no-token.ts";
import { bindIgnoresGroup } from "./bind-ignores-group.ts";
import { bindLeavesBlock } from "./bind-leaves-block.ts";
import { bindTakesTokenForTail } from "./bind-takes-token-for-tail.ts";
import { bitmapPageOffset } from "./bitmap-page-offset.ts";
import { boundTwice } from "./bound-twice.ts";
import { bridgesSpoilGroup } from "./bridges-spoil-group.ts";
import { bufferPastEnd } from "./buffer-past-end.ts";
import { buffersStayLent } from "./buffers-stay-lent.ts";
import { buffersStayMapped } from "./buffers-stay-mapped.ts";
import { bypassOneOrder } from "./bypass-one-order.ts";
import { bypassPartsAnother } from "./bypass-parts-another.ts";
import { cdevOpenStaysRegistered } from "./cdev-open-stays-registered.ts";
import { changeProcessKeepsCounts } from "./change-process-keeps-counts.ts";
import { closeByLastFile } from "./close-by-last-file.ts";
import { closeUnregistersEachTime } from "./close-unregisters-each-time.ts";
import { compatSplitForgotten } from "./compat-split-forgotten.ts";
import { compatUnmapNeedsSome } from "./compat-unmap-needs-some.ts";
import { destroyInUse } from "./destroy-in-use.ts";
import { detachRevokesAccess } from "./detach-revokes-access.ts";
import { detachedStaysMapped } from "./detached-stays-mapped.ts";
import { disabledMemoryAnswers } from "./disabled-memory-answers.ts";
import { dmaOutlivesUnmap } from "./dma-outlives-unmap.ts";
import { dmaPageTwice } from "./dma-page-twice.ts";
import { dmaWritesReadOnly } from "./dma-writes-read-only.ts";
import { failedOpenCounts } from "./failed-open-counts.ts";
import { fakeGroupsOwned } from "./fake-groups-owned.ts";
import type { Fault } from "./fault.ts";
import { faultMessageGarbage } from "./fault-message-garbage.ts";
import { faultQueueKeepsLeavers } from "./fault-queue-keeps-leavers.ts";
import { faultReadTriesForEver } from "./fault-read-tries-for-ever.ts";
import { faultReadWithoutRoom } from "./fault-read-without-room.ts";
import { faultWriteTellsLeft } from "./fault-write-tells-left.ts";
import { featureUnknownEinval } from "./feature-unknown-einval.ts";
import { fileReadFromPage } from "./file-read-from-page.ts";
import { forgetUnknownFile } from "./forget-unknown-file.ts";
import { getDeviceFdStaysOpen } from "./get-device-fd-stays-open.ts";
import { hisiAccBarWhole } from "./hisi-acc-bar-whole.ts";
import { hisiAccIsolationIgnored } from "./hisi-acc-isolation-ignored.ts";
import { hotResetInfoCountsOn } from "./hot-reset-info-counts-on.ts";
import { hotResetLeavesAsleep } from "./hot-reset-leaves-asleep.ts";
import { hotResetUnowned } from "./hot-reset-unowned.ts";
import { hwptDataWithoutLength } from "./hwpt-data-without-length.ts";
import { hwptForgetsQueue } from "./hwpt-forgets-queue.ts";
import { hwptListedTwice } from "./hwpt-listed-twice.ts";
import { hwptParentWithQueue } from "./hwpt-parent-with-queue.ts";
import { hwptRefusedKeepsIoas } from "./hwpt-refused-keeps-ioas.ts";
import { idxdAvailableCountsDisabled } from "./idxd-available-counts-disabled.ts";
import { idxdBarSizeNotMask } from "./idxd-bar-size-not-mask.ts";
import { idxdErrorWordsScattered } from "./idxd-error-words-scattered.ts";
import { idxdErrorsBroadcast } from "./idxd-errors-broadcast.ts";
import { idxdHandleReleasedTwice } from "./idxd-handle-released-twice.ts";
import { idxdIrqsIgnoreStart } from "./idxd-irqs-ignore-start.ts";
import { idxdLimitsWritten } from "./idxd-limits-written.ts";
import { idxdLogForgetsRecords } from "./idxd-log-forgets-records.ts";
import { idxdPasidOfDefault } from "./idxd-pasid-of-default.ts";
import { idxdPortalUnsized } from "./idxd-portal-unsized.ts";
import { idxdQueueTakenInUse } from "./idxd-queue-taken-in-use.ts";
import { idxdTranslationStays } from "./idxd-translation-stays.ts";
import { igdReadsShort } from "./igd-reads-short.ts";
import { igdRegionUntold } from "./igd-region-untold.ts";
import { igdRegionsCountedLate } from "./igd-regions-counted-late.ts";
import { igdVersionMisread } from "./igd-version-misread.ts";
import { intxDisabledUnknown } from "./intx-disabled-unknown.ts";
import { intxLosesEventfd } from "./intx-loses-eventfd.ts";
import { intxNotSentAgain } from "./intx-not-sent-again.ts";
import { ioasChargeStays } from "./ioas-charge-stays.ts";
import { ioasCopiesPinTwice } from "./ioas-copies-pin-twice.ts";
import { ioasCountsForProcess } from "./ioas-counts-for-process.ts";
import { ioasOverlap } from "./ioas-overlap.ts";
import { ioasReservesMapped } from "./ioas-reserves-mapped.ts";
import { ioasUserOverflow } from "./ioas-user-overflow.ts";
import { ioeventfdEightBytesRefused } from "./ioeventfd-eight-bytes-refused.ts";
import { ioeventfdOutlivesClose } from "./ioeventfd-outlives-close.ts";
import { ioeventfdTwice } from "./ioeventfd-twice.ts";
import { ioeventfdWritesDisabled } from "./ioeventfd-writes-disabled.ts";
import { irqOutlivesClose } from "./irq-outlives-close.ts";
import { irqfdKeepsCount } from "./irqfd-keeps-count.ts";
import { irqfdOfTwoVms } from "./irqfd-of-two-vms.ts";
import { irqfdStaysAsserted } from "./irqfd-stays-asserted.ts";
import { irqfdWithoutIrqchip } from "./irqfd-without-irqchip.ts";
import { irqfdsOutliveVm } from "./irqfds-outlive-vm.ts";
import { kvmDeviceWithoutFile } from "./kvm-device-without-file.ts";
import { kvmLockUnderDevSet } from "./kvm-lock-under-dev-set.ts";
import { kvmReleaseForgetsRecord } from "./kvm-release-forgets-record.ts";
import { lockKept } from "./lock-kept.ts";
import { managedWithoutManager } from "./managed-without-manager.ts";
import { mapWithoutAccess } from "./map-without-access.ts";
import { mappingPastEnd } from "./mapping-past-end.ts";
import { mappingsStay } from "./mappings-stay.ts";
import { mdevDuplicateParents } from "./mdev-duplicate-parents.ts";
import { mdevFailedCreateKeeps } from "./mdev-failed-create-keeps.ts";
import { mdevNotCounted } from "./mdev-not-counted.ts";
import { mdevProbeKeepsInstance } from "./mdev-probe-keeps-instance.ts";
import { mdevProbeResultLost } from "./mdev-probe-result-lost.ts";
import { migrationFileOutlivesSession } from "./migration-file-outlives-session.ts";
import { migrationLooksForEver } from "./migration-looks-for-ever.ts";
import { migrationPointerStands } from "./migration-pointer-stands.ts";
import { migrationResetKeepsSession } from "./migration-reset-keeps-session.ts";
import { mlx5ResetUnseen } from "./mlx5-reset-unseen.ts";
import { mockNumberAgain } from "./mock-number-again.ts";
import { mockStaysBound } from "./mock-stays-bound.ts";
import { msiEnabledByWriting } from "./msi-enabled-by-writing.ts";
import { msixTableExposed } from "./msix-table-exposed.ts";
import { mttyDisablesAgain } from "./mtty-disables-again.ts";
import { nativeDriverBesideOwner } from "./native-driver-beside-owner.ts";
import { nestedForgetsParent } from "./nested-forgets-parent.ts";
import { newIdNotTried } from "./new-id-not-tried.ts";
import { newIdTwice } from "./new-id-twice.ts";
import { noGate } from "./no-gate.ts";
import { noiommuHasType1 } from "./noiommu-has-type1.ts";
import { noiommuNeverOpened } from "./noiommu-never-opened.ts";
import { numvfsLocksInverted } from "./numvfs-locks-inverted.ts";
import { nvgraceMappingUntold } from "./nvgrace-mapping-untold.ts";
import { nvgraceReadsOn } from "./nvgrace-reads-on.ts";
import { nvgraceRegionsOverlap } from "./nvgrace-regions-overlap.ts";
import { nvgraceTouchedEarly } from "./nvgrace-touched-early.ts";
import { overrideNotAsked } from "./override-not-asked.ts";
import { overrideOnlyMatches } from "./override-only-matches.ts";
import { pasidUnvalidated } from "./pasid-unvalidated.ts";
import { payloadSizeGoesNowhere } from "./payload-size-goes-nowhere.ts";
import { pdsNeverRegistered } from "./pds-never-registered.ts";
import { pdsReportsFromZero } from "./pds-reports-from-zero.ts";
import { powerStateLosesRegisters } from "./power-state-loses-registers.ts";
import { probeNeedsMatch } from "./probe-needs-match.ts";
import { probePromises } from "./probe-promises.ts";
import { putsNoIommufd } from "./puts-no-iommufd.ts";
import { removedIdStays } from "./removed-id-stays.ts";
import { replaceUnwindsWrongTable } from "./replace-unwinds-wrong-table.ts";
import { revokedStaysDirty } from "./revoked-stays-dirty.ts";
import { romReadsOn } from "./rom-reads-on.ts";
import { secondCdevOpen } from "./second-cdev-open.ts";
import { statusAlwaysViable } from "./status-always-viable.ts";
import { stubOwnsDma } from "./stub-owns-dma.ts";
import { subsystemDefaultsToZero } from "./subsystem-defaults-to-zero.ts";
import { type1CapabilitiesUnaligned } from "./type1-capabilities-unaligned.ts";
import { type1CapabilityLeak } from "./type1-capability-leak.ts";
import { type1CapabilityOfCaller } from "./type1-capability-of-caller.ts";
import { type1DetachStaysClean } from "./type1-detach-stays-clean.ts";
import { type1LastPageLost } from "./type1-last-page-lost.ts";
import { type1LastPageRefused } from "./type1-last-page-refused.ts";
import { type1NewOwnerUncounted } from "./type1-new-owner-uncounted.ts";
import { type1NoEntryLimit } from "./type1-no-entry-limit.ts";
import { type1ReplayUnwind } from "./type1-replay-unwind.ts";
import { type1VaddrOfEmulated } from "./type1-vaddr-of-emulated.ts";
import { unbindWaitsForGroup } from "./unbind-waits-for-group.ts";
import { unboundStaysDevice } from "./unbound-stays-device.ts";
import { vdeviceOutlives } from "./vdevice-outlives.ts";
import { vectorStaysProducer } from "./vector-stays-producer.ts";
import { vectorsStayAfterFailure } from "./vectors-stay-after-failure.ts";
import { veventLooksLost } from "./vevent-looks-lost.ts";
import { veventQueueUnbounded } from "./vevent-queue-unbounded.ts";
import { veventReadKeepsHeader } from "./vevent-read-keeps-header.ts";
import { veventReadWithoutRoom } from "./vevent-read-without-room.ts";
import { veventqCountDrifts } from "./veventq-count-drifts.ts";
import { vfFindsNoToken } from "./vf-finds-no-token.ts";
import { vfMemoryDisabled } from "./vf-memory-disabled.ts";
import { vfsFromD3hot } from "./vfs-from-d3hot.ts";
import { virqfdKeepsCount } from "./virqfd-keeps-count.ts";
import { vmForgetsWhenGone } from "./vm-forgets-when-gone.ts";
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
  kvmReleaseForgetsRecord,
  lockKept,
  mdevDuplicateParents,
  mdevFailedCreateKeeps,
  mdevNotCounted,
  mdevProbeResultLost,
  featureUnknownEinval,
  migrationFileOutlivesSession,
  migrationLooksForEver,
  migrationPointerStands,
  migrationResetKeepsSession,
  msiEnabledByWriting,
  mttyDisablesAgain,
  noGate,
  payloadSizeGoesNowhere,
  powerStateLosesRegisters,
  secondCdevOpen,
  statusAlwaysViable,
  bindTakesTokenForTail,
  bridgesSpoilGroup,
  closeUnregistersEachTime,
  failedOpenCounts,
  forgetUnknownFile,
  hotResetInfoCountsOn,
  stubOwnsDma,
  putsNoIommufd,
  hwptListedTwice,
  fakeGroupsOwned,
  unbindWaitsForGroup,
  noiommuHasType1,
  noiommuNeverOpened,
  vmForgetsWhenGone,
  vmNotPut,
  type1NoEntryLimit,
  type1LastPageRefused,
  type1LastPageLost,
  type1VaddrOfEmulated,
  type1CapabilityLeak,
  type1CapabilitiesUnaligned,
  type1DetachStaysClean,
  type1CapabilityOfCaller,
  type1ReplayUnwind,
  ioasOverlap,
  ioasReservesMapped,
  ioasCopiesPinTwice,
  ioasCountsForProcess,
  ioasChargeStays,
  ioasUserOverflow,
  mapWithoutAccess,
  pasidUnvalidated,
  replaceUnwindsWrongTable,
  accessEntryOverwritten,
  compatSplitForgotten,
  compatUnmapNeedsSome,
  cdevOpenStaysRegistered,
  getDeviceFdStaysOpen,
  kvmDeviceWithoutFile,
  mdevProbeKeepsInstance,
  accessLosesPins,
  accessNotTold,
  accessPinsMisaligned,
  mockStaysBound,
  faultQueueKeepsLeavers,
  hwptForgetsQueue,
  hwptRefusedKeepsIoas,
  nestedForgetsParent,
  veventLooksLost,
  veventqCountDrifts,
  vdeviceOutlives,
  mockNumberAgain,
  hwptDataWithoutLength,
  hwptParentWithQueue,
  faultWriteTellsLeft,
  faultReadWithoutRoom,
  faultReadTriesForEver,
  faultMessageGarbage,
  bitmapPageOffset,
  changeProcessKeepsCounts,
  type1NewOwnerUncounted,
  veventQueueUnbounded,
  veventReadKeepsHeader,
  veventReadWithoutRoom,
  barAccessesHalved,
  disabledMemoryAnswers,
  intxDisabledUnknown,
  intxNotSentAgain,
  msixTableExposed,
  mappingPastEnd,
  mappingsStay,
  buffersStayLent,
  buffersStayMapped,
  bufferPastEnd,
  ioeventfdEightBytesRefused,
  ioeventfdOutlivesClose,
  ioeventfdTwice,
  ioeventfdWritesDisabled,
  intxLosesEventfd,
  irqOutlivesClose,
  vectorsStayAfterFailure,
  virqfdKeepsCount,
  bindAsksNoToken,
  vfFindsNoToken,
  vfsFromD3hot,
  numvfsLocksInverted,
  vfMemoryDisabled,
  hotResetLeavesAsleep,
  accessPinsBuffer,
  fileReadFromPage,
  revokedStaysDirty,
  irqfdKeepsCount,
  irqfdWithoutIrqchip,
  irqfdOfTwoVms,
  bypassPartsAnother,
  bypassOneOrder,
  irqfdsOutliveVm,
  vectorStaysProducer,
  irqfdStaysAsserted,
  nativeDriverBesideOwner,
  detachedStaysMapped,
  newIdTwice,
  overrideOnlyMatches,
  overrideNotAsked,
  boundTwice,
  unboundStaysDevice,
  newIdNotTried,
  removedIdStays,
  probeNeedsMatch,
  subsystemDefaultsToZero,
  auxiliaryOutlivesParent,
  auxiliaryNumberedByParent,
  managedWithoutManager,
  hisiAccBarWhole,
  hisiAccIsolationIgnored,
  pdsNeverRegistered,
  pdsReportsFromZero,
  mlx5ResetUnseen,
  nvgraceTouchedEarly,
  igdReadsShort,
  igdVersionMisread,
  igdRegionUntold,
  igdRegionsCountedLate,
  nvgraceRegionsOverlap,
  nvgraceReadsOn,
  nvgraceMappingUntold,
  probePromises,
  idxdAvailableCountsDisabled,
  idxdBarSizeNotMask,
  idxdErrorWordsScattered,
  idxdErrorsBroadcast,
  idxdHandleReleasedTwice,
  idxdIrqsIgnoreStart,
  idxdLimitsWritten,
  idxdLogForgetsRecords,
  idxdPasidOfDefault,
  idxdPortalUnsized,
  idxdQueueTakenInUse,
  idxdTranslationStays,
  dmaOutlivesUnmap,
  dmaPageTwice,
  dmaWritesReadOnly,
  romReadsOn,
];

/** The fault of that id, or undefined. */
export function findFault(id: string): Fault | undefined {
  return FAULTS.find((candidate) => candidate.id === id);
}
