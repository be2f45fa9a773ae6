/** Features of vfio-pci. Beside drivers/vfio/pci/vfio_pci_core.c. */
import { field } from "../uapi/layout.ts";
import { FEATURE, type Feature, featureIoctl } from "../vfio/feature.ts";
import { dmaBuf } from "./dmabuf-feature.ts";
import { lowPowerFeatures } from "./low-power.ts";
import { vfToken } from "./vf-token.ts";

// Nobody answers it on the PCI bus.
featureIoctl("BUS_MASTER", FEATURE.SET, { op: field.value32(1, 0, 2) }, { since: "6.7" });

/** vfio_pci_core_ioctl_feature */
export const vfioPciFeatures: readonly Feature[] = [vfToken, ...lowPowerFeatures, dmaBuf];
