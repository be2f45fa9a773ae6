/** What the kernel's selftests of iommufd can ask for: the ops of IOMMU_TEST_CMD, and the steps that they are made of. */
import { steps as access } from "./access.ts";
import { steps as checks } from "./check.ts";
import "./dma-buf.ts";
import { steps as events } from "./events.ts";
import { steps as mockDomain } from "./mock-domain.ts";
import { steps as hwQueue } from "./mock-hw-queue.ts";
import { steps as viommu } from "./mock-viommu.ts";
import { steps as pasid } from "./pasid.ts";

export const steps = { ...mockDomain, ...checks, ...access, ...events, ...viommu, ...hwQueue, ...pasid };
