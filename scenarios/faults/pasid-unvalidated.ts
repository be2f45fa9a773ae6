/** Before Linux 6.12 nobody looked whether a device has the PASID that is attached. */
import type { Fault } from "./fault.ts";

export const pasidUnvalidated: Fault = {
  id: "pasid-unvalidated",
  title: "a device takes PASIDs beyond those that it has",
  cites: "c404f55c26fc iommu: Validate the PASID in iommu_attach_device_pasid() (6.12 has it)",
  breaks: "difference",
  shownBy: "mock-pasids",
  apply(k) {
    k.iommufdDevice = { ...k.iommufdDevice, hasPasid: () => true };
  },
};
