/**
 * A group that VFIO lets go returns to its default domain, which Intel's driver wants memory for. It must not fail, so the
 * kernel warns, and the group stays where it was.
 */
import type { Deviation } from "./deviation.ts";

export const ownerReleaseFails: Deviation = {
  id: "owner-release-fails",
  title: "a group that is let go while memory is short does not get back to its default domain, with a warning",
  clause: "ALLOC-2",
  since: "6.5",
  source: "drivers/iommu/iommu.c:__iommu_release_dma_ownership",
  upstream: "searched, none found",
  evidence: "owner-release-fails",
  log: /WARNING: .*(?:iommu_release_dma_ownership|iommu_group_set_domain_nofail|iommu_group_release_dma_owner|iommu_detach_group)/,
  onlyLogged: true,
  apply() {},
};
