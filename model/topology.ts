/**
 * Topologies: the PCI functions, groups and mdev parents that a machine has.
 *
 * The named ones here are what programs ask for. A target surveys what it really booted and gives the model the same
 * topology with its own addresses, group numbers and registers, so that answers can be compared to the byte.
 */

import type { FunctionId } from "./driver-core/pci-id.ts";
import type { FunctionTraits } from "./pci/traits.ts";

/** One BAR or ROM as `resource` in sysfs shows it. */
export interface Bar {
  readonly size: number;
  readonly memory: boolean;
  /** Whether it can be mapped: memory of a page and more, or less that begins a page which nothing else lies in. */
  readonly mappable: boolean;
}

/** A range of I/O addresses, both ends included. */
export interface ReservedRegion {
  readonly start: bigint;
  readonly last: bigint;
}

/** A PCI function. */
export interface FunctionSpec {
  /** Our name for it, the same on every target: `nic0.0`. */
  readonly name: string;
  /** `0000:00:03.0` */
  readonly address: string;
  readonly segment: number;
  readonly bus: number;
  readonly devfn: number;
  readonly vendor: number;
  readonly device: number;
  readonly class: number;
  /** Number of its IOMMU group, -1 without one. */
  readonly group: number;
  /** Whether some function-level reset works, so that VFIO_DEVICE_RESET is offered. */
  readonly resettable: boolean;
  /** What a bus or slot reset of this function hits: the name of the bus or slot, or null on a root bus. */
  readonly resetScope: string | null;
  /** Whether a hot reset brings the link back in time; a hotplug-less port under emulation may not. */
  readonly hotResetWorks: boolean;
  /** Six BARs, then the ROM. */
  readonly bars: readonly (Bar | null)[];
  /** Whether the ROM holds an image, so that the kernel can read it. */
  readonly romImage: boolean;
  /** What the ROM holds as text, see pci/register-text.ts, where the suite has made it; null where nobody knows. */
  readonly rom: string | null;
  /** Virtual functions that it can have; 0 where it is no physical function of SR-IOV. */
  readonly totalVfs: number;
  /** Of a virtual function, which is there only while its physical one has it: the name of that one. */
  readonly physicalFunction: string | null;
  readonly configSize: number;
  /** Whether it is of PCI Express. */
  readonly express: boolean;
  /** Configuration space as the function has it while vfio-pci holds it and nobody uses it; see pci/register-text.ts. */
  readonly config: string;
  /**
   * Bits of it that keep what is written, of those that a user may write; tried out by whoever surveyed the machine. null where
   * nobody did, as on hosts with hardware of their own.
   */
  readonly configKeeps: string | null;
  readonly vga: boolean;
  /** Interrupt pin and vectors: INTx present, MSI and MSI-X vectors. */
  readonly intx: boolean;
  readonly msi: number;
  readonly msix: number;
  /** BAR that holds the MSI-X table, or -1. */
  readonly msixBar: number;
  /** The driver that the kernel gave it by its ids, or null. */
  readonly nativeDriver: string | null;
  /** Addresses that may not be mapped for it, as `reserved_regions` of its group in sysfs has them, without the relaxable. */
  readonly reservedRegions: readonly ReservedRegion[];
  /** Bits of an address that the IOMMU in front of it translates: everything above is out of reach. */
  readonly apertureBits: number;
  /** Page sizes that the IOMMU in front of it maps, one bit each. */
  readonly pageSizes: bigint;
  /** What it says of itself to a driver that is made for it; none for most. */
  readonly traits?: FunctionTraits;
  /** PCIe AtomicOp completer capability bits that GET_INFO reports, or null where it reports none. */
  readonly atomics: number | null;
}

/** Functions that are not to be tested but belong to a group or bus, such as a bridge. */
export interface BridgeSpec {
  readonly address: string;
  readonly group: number;
  /** The bus or slot whose reset hits the bridge, named as functions name theirs; null on a root bus. */
  readonly resetScope: string | null;
  /** The bus or slot that lies behind it, or null where nothing does. */
  readonly scopeBehind: string | null;
  /** What ids of drivers are compared with; null where nobody looked. */
  readonly id: FunctionId | null;
  /** Whether it has a driver. */
  readonly bound: boolean;
}

/** A mediated device. */
export interface MdevSpec {
  /** Our name for it. */
  readonly name: string;
  readonly uuid: string;
  /** What it is where every program finds it made; null where programs make it. Making one is the slowest of calls. */
  readonly standing: { readonly parent: string; readonly type: string } | null;
}

/** A work queue of idxd, as the host has configured it before the first program. */
export interface WorkQueueSpec {
  /** `wq0.1`: device and number. */
  readonly name: string;
  readonly mode: "dedicated" | "shared";
  readonly type: "none" | "kernel" | "user" | "mdev";
  /** Whether the driver of its type has it. */
  readonly enabled: boolean;
  /** Entries. */
  readonly size: number;
  /** Entries of a shared one that the limited portal may fill. */
  readonly threshold: number;
  readonly priority: number;
  /** Powers of two: bytes of a transfer, and descriptors of a batch, at the most. */
  readonly maxTransferShift: number;
  readonly maxBatchShift: number;
  readonly blockOnFault: boolean;
}

export interface Topology {
  readonly name: string;
  readonly functions: readonly FunctionSpec[];
  readonly bridges: readonly BridgeSpec[];
  /** Drivers of the PCI bus that functions can be bound to. */
  readonly drivers: readonly string[];
  /** Whether all that is on the bus is listed here, so that ids may be added to its drivers. */
  readonly wholeBus: boolean;
  /** Functions that another one's driver manages, by its adapter's firmware: only machines of the model have such. */
  readonly managed: readonly { readonly function: string; readonly manager: string }[];
  /** Names of mdev parents present: "mtty", "mdpy", "idxd". */
  readonly mdevParents: readonly string[];
  /** Mediated devices that are there, or that programs may create. */
  readonly mdevs: readonly MdevSpec[];
  /** Work queues of an Intel Data Streaming Accelerator, by their numbers; left out where there is none. */
  readonly workQueues?: readonly WorkQueueSpec[];
  readonly iommu: boolean;
  /** Capability and extended capability register of the IOMMU, where that is Intel's. */
  readonly vtd: { readonly cap: bigint; readonly ecap: bigint } | null;
  /** Whether VFIO was told to take devices that no IOMMU isolates: vfio.enable_unsafe_noiommu_mode. */
  readonly noiommu: boolean;
  /** Whether the IOMMU can nest page tables, as the nesting type of type1 wanted it. */
  readonly nesting: boolean;
  readonly kvm: boolean;
  /** Whether vfio-pci may make virtual functions: its module parameter enable_sriov. */
  readonly sriov: boolean;
  /** Why no call can be asked to fail an allocation there, in one sentence; null where it can (/proc/self/fail-nth). */
  readonly noFailNth: string | null;
  /** Mappings that a container may hold: the module parameter dma_entry_limit of type1. */
  readonly dmaEntryLimit: number;
}

/** The bus name of a device of the topology; a name that no device has stands for itself. */
export function busName(topology: Topology, device: string): string {
  for (const spec of topology.functions) if (spec.name === device) return spec.address;
  for (const mdev of topology.mdevs) if (mdev.name === device) return mdev.uuid;
  return device;
}

/** The bridge that a function lies behind; undefined for one on a root bus. */
export function bridgeAbove({ functions, bridges }: Topology, device: string): BridgeSpec | undefined {
  const scope = functions.find(({ name }) => name === device)?.resetScope ?? null;
  return scope === null ? undefined : bridges.find(({ scopeBehind }) => scopeBehind === scope);
}

/** The text of an argument that names a device: the name it has on the bus, and what stands behind it. */
export function argumentText(
  topology: Topology,
  { device, text = "" }: { readonly device?: string; readonly text?: string },
): string {
  return device === undefined ? text : busName(topology, device) + text;
}

/** The mediated devices of a machine with these parents: one of each that stands, and three for programs to make. */
export function mdevsFor(parents: readonly string[]): MdevSpec[] {
  const uuid = (n: number): string => `83b8f4f2-509f-382f-3c1e-e6bfe0fa100${n}`;
  const standing: MdevSpec[] = [];
  if (parents.includes("mtty")) {
    standing.push({ name: "mtty0", uuid: uuid(8), standing: { parent: "mtty", type: "mtty-1" } });
  }
  if (parents.includes("mdpy")) {
    standing.push({ name: "mdpy0", uuid: uuid(9), standing: { parent: "mdpy", type: "mdpy-vga" } });
  }
  if (standing.length === 0) return [];
  return [...standing, ...[0, 1, 2].map((n) => ({ name: `mdev${n}`, uuid: uuid(n), standing: null }))];
}
