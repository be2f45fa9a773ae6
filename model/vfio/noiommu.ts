/** No-IOMMU mode: the backend of containers that hold devices without an IOMMU. Beside drivers/vfio/container.c. */
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { EXTENSION } from "./type1.ts";

const NOIOMMU = { kconfig: ["VFIO_NOIOMMU"], machine: "noiommu" } as const;

export const rule = clauses({
  "VFIO-NOIOMMU-EXT-1": {
    ...NOIOMMU,
    rule: "VFIO_NOIOMMU_IOMMU is an extension while the mode is on",
    source: "drivers/vfio/container.c:vfio_noiommu_ioctl",
  },
  "VFIO-NOIOMMU-SETIOMMU-1": {
    ...NOIOMMU,
    rule: "a container with groups that no IOMMU isolates takes no backend but VFIO_NOIOMMU_IOMMU, and no other takes that",
    errno: "ENODEV",
    source: "drivers/vfio/container.c:vfio_iommu_driver_allowed",
  },
  "VFIO-NOIOMMU-SETIOMMU-2": {
    ...NOIOMMU,
    rule: "choosing VFIO_NOIOMMU_IOMMU sets nothing up: devices can be opened, and nothing can be mapped",
    source: "drivers/vfio/container.c:vfio_noiommu_attach_group",
    observable: "later-call",
  },
  "VFIO-NOIOMMU-SETIOMMU-3": {
    ...NOIOMMU,
    rule: "only a caller with CAP_SYS_RAWIO may choose VFIO_NOIOMMU_IOMMU",
    errno: "EPERM",
    source: "drivers/vfio/container.c:vfio_noiommu_open",
  },
  "VFIO-NOIOMMU-JOIN-1": {
    ...NOIOMMU,
    rule: "only a caller with CAP_SYS_RAWIO may give a container a group that no IOMMU isolates",
    errno: "EPERM",
    source: "drivers/vfio/container.c:vfio_container_attach_group",
  },
  "VFIO-NOIOMMU-MIX-1": {
    ...NOIOMMU,
    rule: "a container holds groups that an IOMMU isolates, or that none does, not both; emulated ones count as isolated",
    errno: "EPERM",
    source: "drivers/vfio/container.c:vfio_container_attach_group",
  },
});

export const steps = {
  /** What every step into no-IOMMU mode asks of the caller. */
  permitted(k: Kernel): boolean {
    return k.task.credentials.has("CAP_SYS_RAWIO");
  },

  /** vfio_noiommu_ioctl: what the backend says to VFIO_CHECK_EXTENSION, chosen or not. */
  checkExtension(k: Kernel, extension: number): number {
    if (extension !== EXTENSION.NOIOMMU || !k.topology.noiommu || !k.has("VFIO_NOIOMMU")) return 0;
    k.keeps(rule["VFIO-NOIOMMU-EXT-1"]);
    return 1;
  },

  /** vfio_noiommu_open, for a container that holds such groups */
  open(k: Kernel, type: number): void {
    must(k.noiommu.checkExtension(k, type) > 0, rule["VFIO-NOIOMMU-SETIOMMU-1"]);
    must(k.noiommu.permitted(k), rule["VFIO-NOIOMMU-SETIOMMU-3"]);
    k.keeps(rule["VFIO-NOIOMMU-SETIOMMU-2"]);
  },
};
