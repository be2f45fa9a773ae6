/** The machines that the model can be asked for by name, as `--machine` of the command line does. */
import type { MachineKind } from "./kernel/clause.ts";
import { MANAGED_TOPOLOGY } from "./managed-topology.ts";
import {
  IDXD_TOPOLOGY,
  MOCK_TOPOLOGY,
  NOIOMMU_TOPOLOGY,
  REFERENCE_TOPOLOGY,
  SRIOV_TOPOLOGY,
} from "./reference-topology.ts";
import type { Topology } from "./topology.ts";
import { VARIANT_TOPOLOGY } from "./variant-topology.ts";

export interface ModelMachine {
  readonly name: "iommu" | MachineKind;
  readonly title: string;
  readonly topology: Topology;
}

export const MODEL_MACHINES: readonly ModelMachine[] = [
  { name: "iommu", title: "with an IOMMU", topology: REFERENCE_TOPOLOGY },
  {
    name: "sriov",
    title: "with an IOMMU, a function that can have virtual ones, and a VGA adapter",
    topology: SRIOV_TOPOLOGY,
  },
  { name: "mock", title: "without an IOMMU", topology: MOCK_TOPOLOGY },
  { name: "noiommu", title: "without an IOMMU, in no-IOMMU mode", topology: NOIOMMU_TOPOLOGY },
  {
    name: "managed",
    title: "with functions whose drivers manage others; there is no such machine in QEMU",
    topology: MANAGED_TOPOLOGY,
  },
  {
    name: "variants",
    title: "with functions that have VFIO drivers of their own; there is no such machine in QEMU",
    topology: VARIANT_TOPOLOGY,
  },
  {
    name: "idxd",
    title: "with an accelerator whose work queues are handed to guests; there is no such machine in QEMU",
    topology: IDXD_TOPOLOGY,
  },
];

/** The topology of that machine, or undefined. */
export function topologyOf(machine: string): Topology | undefined {
  return MODEL_MACHINES.find(({ name }) => name === machine)?.topology;
}
