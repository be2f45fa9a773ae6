/** Goals about memory that a device copies by itself. */
import { rule } from "../../model/iommu/dma.ts";
import type { Goal } from "../coverage.ts";
import { clauseSeen } from "./ended.ts";

export const DMA_GOALS: readonly Goal[] = [
  clauseSeen("dma-read", "a device read what was mapped for it", rule["IOMMU-DMA-1"]),
  clauseSeen("dma-written", "a device wrote to what was mapped for it", rule["IOMMU-DMA-2"]),
  clauseSeen("dma-unmapped", "a device was to reach what was not mapped for it", rule["IOMMU-DMA-3"]),
  clauseSeen("dma-read-only", "a device was to write to what was mapped to be read", rule["IOMMU-DMA-4"]),
  clauseSeen("dma-no-master", "a device was to copy that was no bus master", rule["IOMMU-DMA-6"]),
];
