/** A virtual device stays when its physical one goes, and keeps what was freed. */
import type { Fault } from "./fault.ts";

export const vdeviceOutlives: Fault = {
  id: "vdevice-outlives",
  title:
    "a virtual device can be destroyed after its physical one is gone, and keeps its virtual IOMMU in use until then",
  cites: "850f14f5b919 iommufd: Destroy vdevice on idevice destroy (6.17)",
  breaks: "difference",
  shownBy: "mock-viommus",
  apply(k) {
    k.iommufdDevice = { ...k.iommufdDevice, *removeVdevice() {} };
  },
};
