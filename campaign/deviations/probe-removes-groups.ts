/**
 * A driver's attributes of a device that can't be made for want of memory are removed all the same, with a warning that
 * they are not there. Later kernels do so quietly.
 */
import type { Deviation } from "./deviation.ts";

export const probeRemovesGroups: Deviation = {
  id: "probe-removes-groups",
  title: "a driver that gets no memory for its attributes of a device has the kernel warn that they are not there",
  clause: "ALLOC-1",
  since: "6.1",
  until: "6.11",
  source: "drivers/base/dd.c:really_probe",
  upstream: "the warning is gone in 6.12",
  evidence: "probe-removes-groups",
  log: /WARNING: .*sysfs_remove_group/,
  onlyLogged: true,
  apply() {},
};
