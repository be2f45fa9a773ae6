/** The drivers of IOMMUs that the model knows. */
import { mockOps } from "../iommufd/selftest/mock-iommu.ts";
import type { IommuDevice } from "./device.ts";
import type { IommuOps } from "./driver.ts";
import { intelOps } from "./intel.ts";

/** dev_iommu_ops: the driver of the IOMMU in front of a device. */
export function opsOf({ iommuDriver }: IommuDevice): IommuOps {
  return iommuDriver === "mock" ? mockOps : intelOps;
}
