/**
 * A VFIO group that can't be registered for want of memory: its release takes the IOMMU group to have been let go, warns
 * that it has not, and lets it leak. Nothing but the log shows it, and a group number that never comes again.
 */
import type { Deviation } from "./deviation.ts";

export const groupLeaks: Deviation = {
  id: "group-leaks",
  title: "a VFIO group that can't be registered for want of memory leaks its IOMMU group, with a warning",
  clause: "ALLOC-1",
  since: "6.1",
  source: "drivers/vfio/group.c:vfio_create_group",
  upstream: "searched, none found",
  evidence: "group-leaks",
  log: /WARNING: .*vfio_group_release/,
  onlyLogged: true,
  apply() {},
};
