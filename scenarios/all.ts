/** The scenarios of the suite. */

import { ACCESSES } from "./accesses.ts";
import { AUXILIARY } from "./auxiliary.ts";
import { BARS } from "./bars.ts";
import { CHANGE_PROCESS_SCENARIOS } from "./change-process.ts";
import { COMPAT } from "./compat.ts";
import { CONFIG_SPACE } from "./config-space.ts";
import { CONFIG_READS, CONFIG_SWEEPS } from "./config-sweeps.ts";
import { CORNERS } from "./corners.ts";
import { DMA } from "./dma.ts";
import { DMA_BUFFERS } from "./dma-buffers.ts";
import { DMA_BUFFERS_TAKEN } from "./dma-buffers-taken.ts";
import { IOAS_DMA } from "./dma-ioas.ts";
import { DRIVER_IDS } from "./driver-ids.ts";
import { DRIVERS } from "./drivers.ts";
import { EVIDENCE } from "./evidence.ts";
import { SAMPLE_EVIDENCE } from "./evidence-samples.ts";
import { EXCLUSION } from "./exclusion.ts";
import { FAULT_QUEUES } from "./fault-queues.ts";
import { FEATURES } from "./features.ts";
import { HOT_RESET } from "./hot-reset.ts";
import { HOTPLUG } from "./hotplug.ts";
import { IDXD } from "./idxd.ts";
import { IDXD_DESCRIPTORS } from "./idxd-descriptors.ts";
import { IDXD_DEVICE } from "./idxd-device.ts";
import { IDXD_PROCESSES } from "./idxd-processes.ts";
import { INTERRUPTS } from "./interrupts.ts";
import { IOAS } from "./ioas.ts";
import { IOAS_FILES } from "./ioas-files.ts";
import { IOAS_MEMORY } from "./ioas-memory.ts";
import { IOCTL_FORMAT } from "./ioctl-format.ts";
import { IOEVENTFDS } from "./ioeventfds.ts";
import { IRQ_BYPASS } from "./irq-bypass.ts";
import { IRQFD } from "./irqfd.ts";
import { IRQFD_PINS } from "./irqfd-pins.ts";
import { IRQ_EVIDENCE, IRQS } from "./irqs.ts";
import { INTX_IRQS } from "./irqs-intx.ts";
import { VECTOR_IRQS } from "./irqs-vectors.ts";
import { KVM } from "./kvm.ts";
import { LEAVING } from "./leaving.ts";
import { LOW_POWER } from "./low-power.ts";
import { MAPPINGS } from "./mappings.ts";
import { MDEV } from "./mdev.ts";
import { MEMORY } from "./memory.ts";
import { MOCK_TABLES } from "./mock-tables.ts";
import { MOCKS } from "./mocks.ts";
import { NETWORK_ADAPTER } from "./network-adapter.ts";
import { NOIOMMU } from "./noiommu.ts";
import { OWNERSHIP } from "./ownership.ts";
import { PAGE_TABLES } from "./page-tables.ts";
import { PASIDS } from "./pasids.ts";
import { PROCESSES } from "./processes.ts";
import { IOMMUFD_PROCESSES } from "./processes-iommufd.ts";
import { ROMS } from "./roms.ts";
import { SAMPLES } from "./samples.ts";
import type { Scenario } from "./scenario.ts";
import { SELFTESTS } from "./selftests.ts";
import { DIRTY_SELFTESTS } from "./selftests-dirty.ts";
import { IOMMUFD_SELFTESTS } from "./selftests-iommufd.ts";
import { PASID_SELFTESTS } from "./selftests-pasid.ts";
import { SHARED_MEMORY } from "./shared-memory.ts";
import { SRIOV } from "./sriov.ts";
import { TYPE1 } from "./type1.ts";
import { VGA_ADAPTER } from "./vga.ts";
import { VIOMMU_QUEUES } from "./viommu-queues.ts";
import { VIOMMUS } from "./viommus.ts";
import { VMM } from "./vmm.ts";
import { WAYS_APART } from "./ways-apart.ts";
import { WAYS_IN } from "./ways-in.ts";

export const SCENARIOS: readonly Scenario[] = [
  ...WAYS_IN,
  ...WAYS_APART,
  ...OWNERSHIP,
  ...DRIVER_IDS,
  ...AUXILIARY,
  ...EXCLUSION,
  ...KVM,
  ...IRQFD,
  ...IRQFD_PINS,
  ...IRQ_BYPASS,
  ...VMM,
  ...MDEV,
  ...SELFTESTS,
  ...IOMMUFD_SELFTESTS,
  ...DIRTY_SELFTESTS,
  ...PROCESSES,
  ...IOMMUFD_PROCESSES,
  ...CHANGE_PROCESS_SCENARIOS,
  ...LOW_POWER,
  ...SRIOV,
  ...HOTPLUG,
  ...LEAVING,
  ...HOT_RESET,
  ...IRQS,
  ...INTX_IRQS,
  ...VECTOR_IRQS,
  ...CONFIG_READS,
  ...CONFIG_SWEEPS,
  ...CONFIG_SPACE,
  ...BARS,
  ...ROMS,
  ...INTERRUPTS,
  ...NETWORK_ADAPTER,
  ...VGA_ADAPTER,
  ...DMA,
  ...IOAS_DMA,
  ...MAPPINGS,
  ...IOEVENTFDS,
  ...IOAS,
  ...IOCTL_FORMAT,
  ...IOAS_MEMORY,
  ...IOAS_FILES,
  ...SHARED_MEMORY,
  ...MOCKS,
  ...COMPAT,
  ...VIOMMUS,
  ...VIOMMU_QUEUES,
  ...MOCK_TABLES,
  ...PAGE_TABLES,
  ...FAULT_QUEUES,
  ...PASID_SELFTESTS,
  ...PASIDS,
  ...ACCESSES,
  ...NOIOMMU,
  ...CORNERS,
  ...TYPE1,
  ...FEATURES,
  ...DMA_BUFFERS,
  ...DMA_BUFFERS_TAKEN,
  ...SAMPLES,
  ...DRIVERS,
  ...IDXD,
  ...IDXD_DEVICE,
  ...IDXD_DESCRIPTORS,
  ...IDXD_PROCESSES,
  ...MEMORY,
  ...EVIDENCE,
  ...SAMPLE_EVIDENCE,
  ...IRQ_EVIDENCE,
];

/** The scenario of that id, or undefined. */
export function findScenario(id: string): Scenario | undefined {
  return SCENARIOS.find((candidate) => candidate.id === id);
}
