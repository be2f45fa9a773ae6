/** The deviations that are known, and which of them a kernel has. */
import type { Override } from "../../model/machine.ts";
import type { Profile } from "../../model/profile.ts";
import { inRange, versionNumber } from "../../model/uapi/version.ts";
import { acpiCountLost } from "./acpi-count-lost.ts";
import { aliasCleared } from "./alias-cleared.ts";
import { attachFaultDetaches } from "./attach-fault-detaches.ts";
import { bindDropsVm, bindLeaksVm } from "./bind-drops-vm.ts";
import { bindWithoutToken } from "./bind-without-token.ts";
import { changeProcessOfGone } from "./change-process-of-gone.ts";
import { changeProcessUncounted } from "./change-process-uncounted.ts";
import { compatMapNoAccess } from "./compat-map-no-access.ts";
import { compatUnmapCuts } from "./compat-unmap-cuts.ts";
import { copyMisaligned } from "./copy-misaligned.ts";
import { devSetMissing } from "./dev-set-missing.ts";
import type { Deviation } from "./deviation.ts";
import { deviceCtrlUnsaid } from "./device-ctrl-unsaid.ts";
import { dirtyBitmapErrorLost } from "./dirty-bitmap.ts";
import { dirtyLastItemLost } from "./dirty-last-item-lost.ts";
import { dirtyPartHangs } from "./dirty-part-hangs.ts";
import { bufferKeptAfterWakeup, bufferLentAsleep, bufferRangesPastArgsz } from "./dma-buffers.ts";
import { faultReadLoops, faultReplaceKeeps } from "./fault-queue.ts";
import { groupChangesBackend } from "./group-changes-backend.ts";
import { groupLeaks } from "./group-leaks.ts";
import { groupLeftBehind } from "./group-left-behind.ts";
import { hotResetInfoHeader } from "./hot-reset-info-header.ts";
import { hotplugProbesAnyway } from "./hotplug-probes-anyway.ts";
import { hwptAllocPtEinval, hwptReservedUnchecked } from "./hwpt-alloc.ts";
import { ioasFaultStays } from "./ioas-fault-stays.ts";
import { ioasUnmapPartial } from "./ioas-unmap-partial.ts";
import { ioeventfdEightBytes, ioeventfdNegativeOffset } from "./ioeventfds.ts";
import { kvmDeviceFaultLeaks } from "./kvm-device-fault-leaks.ts";
import { leavingDeviceOpened } from "./leaving-device-opened.ts";
import { mapFileAnyFile, mapFileCycle } from "./map-file-any-file.ts";
import { mapFileSealed } from "./map-file-sealed.ts";
import { mdevCreateLeaks } from "./mdev-create-leaks.ts";
import { migrationBlockedArc } from "./migration-blocked-arc.ts";
import { mockQueuePlace } from "./mock-queue-place.ts";
import { msiCapableWritten } from "./msi-capable-written.ts";
import { msiControlRewritten } from "./msi-control-rewritten.ts";
import { msiEnabledAgain } from "./msi-enabled-again.ts";
import {
  mttyBadHeaderCounts,
  mttyDataFdOutlives,
  mttyLoggingUnchecked,
  mttyNoEnomsg,
  mttyResumeReopened,
  mttyStateSurvivesClose,
  mttyStreamUnchecked,
} from "./mtty-migration.ts";
import { nodeMissing } from "./node-missing.ts";
import { ownerReleaseFails } from "./owner-release-fails.ts";
import { pasidZero } from "./pasid-zero.ts";
import { mockLeavesPasids, pasidDirtyUnenforced, pasidOfNone } from "./pasids.ts";
import { errIrqRefused, singleIrqNegative } from "./pci-irqs.ts";
import { probeRemovesGroups } from "./probe-removes-groups.ts";
import { replaceDropsReserved } from "./replace-drops-reserved.ts";
import { replaceForeignTable } from "./replace-foreign-table.ts";
import { reservedRegionsLost } from "./reserved-regions-lost.ts";
import { mdpyIrqFlags, mttyIrqLost, mttyIrqRefused, mttyIrqsBefore67, sampleIrqsNeedInfo } from "./sample-irqs.ts";
import { mdpyFrameOffset, mttyDivisorOrs, mttyFullFifo, mttyNoBounds, sampleOverruns } from "./sample-regions.ts";
import { type1BitmapFault } from "./type1-bitmap-fault.ts";
import { type1DirtyLeftovers } from "./type1-dirty-leftovers.ts";
import { type1EndOfSpace, type1LastPage } from "./type1-end-of-space.ts";
import { type1LateAperture } from "./type1-late-aperture.ts";
import { type1PinsZeroPage } from "./type1-pins-zero-page.ts";
import { type1ReplayCaller } from "./type1-replay-caller.ts";
import { type1ReplayCrawl } from "./type1-replay-crawl.ts";
import { type1UnmapFault } from "./type1-unmap-fault.ts";
import { vgaRegionRefused } from "./vga-region-refused.ts";
import { viommuReservedUnchecked } from "./viommu-reserved-unchecked.ts";
import { vtdWriteOnlyReadable } from "./vtd-write-only-readable.ts";

export const DEVIATIONS: readonly Deviation[] = [
  acpiCountLost,
  aliasCleared,
  attachFaultDetaches,
  bindDropsVm,
  bindWithoutToken,
  bindLeaksVm,
  compatMapNoAccess,
  compatUnmapCuts,
  copyMisaligned,
  deviceCtrlUnsaid,
  dirtyBitmapErrorLost,
  dirtyLastItemLost,
  dirtyPartHangs,
  faultReadLoops,
  faultReplaceKeeps,
  groupChangesBackend,
  groupLeftBehind,
  groupLeaks,
  hotplugProbesAnyway,
  hotResetInfoHeader,
  hwptAllocPtEinval,
  hwptReservedUnchecked,
  ioasFaultStays,
  ioasUnmapPartial,
  ioeventfdEightBytes,
  ioeventfdNegativeOffset,
  kvmDeviceFaultLeaks,
  leavingDeviceOpened,
  mapFileAnyFile,
  mapFileCycle,
  mapFileSealed,
  mdevCreateLeaks,
  mdpyFrameOffset,
  mdpyIrqFlags,
  migrationBlockedArc,
  msiCapableWritten,
  msiControlRewritten,
  msiEnabledAgain,
  mttyBadHeaderCounts,
  mttyDataFdOutlives,
  mttyDivisorOrs,
  mttyFullFifo,
  mttyIrqLost,
  mttyIrqRefused,
  mttyIrqsBefore67,
  mttyLoggingUnchecked,
  mttyNoBounds,
  mttyNoEnomsg,
  mttyStateSurvivesClose,
  mttyResumeReopened,
  mttyStreamUnchecked,
  sampleIrqsNeedInfo,
  sampleOverruns,
  nodeMissing,
  changeProcessOfGone,
  changeProcessUncounted,
  type1ReplayCaller,
  devSetMissing,
  ownerReleaseFails,
  mockLeavesPasids,
  mockQueuePlace,
  pasidDirtyUnenforced,
  pasidOfNone,
  pasidZero,
  probeRemovesGroups,
  replaceDropsReserved,
  reservedRegionsLost,
  replaceForeignTable,
  type1DirtyLeftovers,
  type1BitmapFault,
  type1EndOfSpace,
  type1LastPage,
  type1LateAperture,
  type1PinsZeroPage,
  type1ReplayCrawl,
  type1UnmapFault,
  vgaRegionRefused,
  vtdWriteOnlyReadable,
  errIrqRefused,
  singleIrqNegative,
  viommuReservedUnchecked,
  bufferRangesPastArgsz,
  bufferLentAsleep,
  bufferKeptAfterWakeup,
];

/** Deviations that a kernel of this profile is known to have. */
export function deviationsOf({ version }: Profile): Deviation[] {
  const own = versionNumber(version);
  return DEVIATIONS.filter((deviation) => inRange(own, deviation));
}

/** What keeps generated programs away from deviations that would destroy the kernel under test. */
export function guardsOf(deviations: readonly Deviation[]): Override[] {
  return deviations
    .filter(({ destructive }) => destructive)
    .map((deviation) => ({ id: deviation.id, apply: (k) => deviation.apply(k, () => {}) }));
}
