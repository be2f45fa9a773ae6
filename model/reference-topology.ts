/**
 * The machine that the model is given where no target brings one: two functions of one adapter in one group, a single
 * function, two devices behind a PCI bridge, one behind a root port, mtty and mdpy, an IOMMU, KVM. The numbers are those of
 * QEMU's devices.
 */

import type { FunctionId } from "./driver-core/pci-id.ts";
import { formatRegisters } from "./pci/register-text.ts";
import { makeRom, ROM_SIZE } from "./pci/rom.ts";
import { E1000, E1000E, EDU, NVME, NVME_SRIOV, VGA } from "./reference-config.ts";
import { type Bar, type FunctionSpec, mdevsFor, type Topology, type WorkQueueSpec } from "./topology.ts";

const MSI_WINDOW = { start: 0xfee0_0000n, last: 0xfeef_ffffn };
/** 4 KiB, 2 MiB, 1 GiB */
const PAGE_SIZES = 0x4020_1000n;
const memory = (size: number): Bar => ({ size, memory: true, mappable: size >= 4096 });
const ports = (size: number): Bar => ({ size, memory: false, mappable: false });

type Given = Pick<
  FunctionSpec,
  "name" | "bus" | "devfn" | "vendor" | "device" | "class" | "group" | "bars" | "config" | "configKeeps"
> &
  Partial<FunctionSpec>;

/** A function with what most have. */
export function pciFunction(given: Given): FunctionSpec {
  const slot = (given.devfn >> 3).toString(16).padStart(2, "0");
  const bus = given.bus.toString(16).padStart(2, "0");
  return {
    address: `0000:${bus}:${slot}.${given.devfn & 7}`,
    segment: 0,
    resettable: true,
    resetScope: null,
    hotResetWorks: false,
    romImage: false,
    rom: null,
    totalVfs: 0,
    physicalFunction: null,
    configSize: 4096,
    express: true,
    vga: false,
    intx: true,
    msi: 0,
    msix: 0,
    msixBar: -1,
    nativeDriver: null,
    reservedRegions: [MSI_WINDOW],
    apertureBits: 39,
    pageSizes: PAGE_SIZES,
    atomics: null,
    ...given,
  };
}

const e1000e = {
  vendor: 0x8086,
  device: 0x10d3,
  class: 0x02_00_00,
  bars: [memory(0x20000), memory(0x20000), ports(32), memory(0x4000), null, null, null],
  msi: 1,
  msix: 5,
  msixBar: 3,
  nativeDriver: "e1000e",
  resetScope: "bus 01",
} as const;

const e1000 = {
  vendor: 0x8086,
  device: 0x100e,
  class: 0x02_00_00,
  bars: [memory(0x20000), ports(64), null, null, null, null, null],
  configSize: 256,
  express: false,
  nativeDriver: "e1000",
  resettable: false,
  resetScope: "bus 02",
  hotResetWorks: true,
} as const;

const nvme = {
  bus: 4,
  vendor: 0x1b36,
  device: 0x0010,
  class: 0x01_08_02,
  bars: [memory(0x4000), null, null, null, null, null, null],
  msixBar: 0,
  resetScope: "bus 04",
} as const;
/** What one of QEMU's bridges says it is. */
const bridgeId = (device: number): FunctionId => ({
  vendor: 0x1b36,
  device,
  subvendor: 0,
  subdevice: 0,
  class: 0x06_04_00,
});

const rootPort = { resetScope: null, id: bridgeId(0x000c), bound: true } as const;

export const REFERENCE_TOPOLOGY: Topology = {
  name: "reference",
  functions: [
    pciFunction({ ...e1000e, ...E1000E[0], name: "nic0.0", bus: 1, devfn: 0, group: 4 }),
    pciFunction({ ...e1000e, ...E1000E[1], name: "nic0.1", bus: 1, devfn: 1, group: 4 }),
    pciFunction({
      ...EDU,
      name: "edu0",
      bus: 0,
      devfn: 0x30,
      vendor: 0x1234,
      device: 0x11e8,
      class: 0x00_ff_00,
      group: 5,
      bars: [memory(0x100000), null, null, null, null, null, null],
      configSize: 256,
      express: false,
      msi: 1,
      resettable: false,
    }),
    pciFunction({
      ...e1000,
      ...E1000[0],
      name: "bridged0",
      bus: 2,
      devfn: 0x08,
      group: 6,
      bars: [memory(0x20000), ports(64), null, null, null, null, memory(ROM_SIZE)],
      romImage: true,
      rom: formatRegisters(makeRom(e1000.vendor, e1000.device)),
    }),
    pciFunction({ ...e1000, ...E1000[1], name: "bridged1", bus: 2, devfn: 0x10, group: 6 }),
    pciFunction({
      ...NVME,
      name: "rooted0",
      bus: 3,
      devfn: 0,
      vendor: 0x1b36,
      device: 0x0010,
      class: 0x01_08_02,
      group: 8,
      bars: [memory(0x4000), null, null, null, null, null, null],
      msix: 65,
      msixBar: 0,
      resetScope: "bus 03",
    }),
  ],
  bridges: [
    { ...rootPort, address: "0000:00:05.0", group: 4, scopeBehind: "bus 01" },
    { ...rootPort, address: "0000:00:07.0", group: 6, scopeBehind: "bus 02", id: bridgeId(0x000e), bound: false },
    { ...rootPort, address: "0000:00:08.0", group: 7, scopeBehind: "bus 03" },
  ],
  drivers: ["vfio-pci", "pci-stub", "e1000", "e1000e"],
  wholeBus: true,
  managed: [],
  mdevParents: ["mtty", "mdpy"],
  mdevs: mdevsFor(["mtty", "mdpy"]),
  iommu: true,
  vtd: { cap: 0xd2008c222f0686n, ecap: 0xf00f5an },
  noiommu: false,
  nesting: false,
  kvm: true,
  sriov: false,
  noFailNth: null,
  dmaEntryLimit: 6,
};

/** A function that can have virtual ones, and those. */
const PHYSICAL_AND_VIRTUAL: readonly FunctionSpec[] = [
  pciFunction({ ...nvme, ...NVME_SRIOV.physical, name: "pf0", devfn: 0, group: 10, msix: 2, totalVfs: 2 }),
  ...[1, 2].map((number) =>
    pciFunction({
      ...nvme,
      ...NVME_SRIOV.virtual,
      name: `vf${number - 1}`,
      devfn: number,
      group: 10 + number,
      msix: 1,
      intx: false,
      physicalFunction: "pf0",
    }),
  ),
];

/** What boots first shadows the ROM of such a function in memory, where there is one: its resource is there without. */
const VGA_FUNCTION = pciFunction({
  ...VGA,
  name: "vga0",
  bus: 0,
  devfn: 0x50,
  vendor: 0x1234,
  device: 0x1111,
  class: 0x03_00_00,
  group: 13,
  bars: [memory(0x100_0000), null, memory(0x1000), null, null, null, memory(0x2_0000)],
  configSize: 256,
  express: false,
  vga: true,
  intx: false,
  resettable: false,
});

/** The same machine with a function that can have virtual ones, and with a VGA adapter. */
export const SRIOV_TOPOLOGY: Topology = {
  ...REFERENCE_TOPOLOGY,
  name: "sriov",
  functions: [...REFERENCE_TOPOLOGY.functions, ...PHYSICAL_AND_VIRTUAL, VGA_FUNCTION],
  bridges: [...REFERENCE_TOPOLOGY.bridges, { ...rootPort, address: "0000:00:09.0", group: 9, scopeBehind: "bus 04" }],
  sriov: true,
};

/** The same machine without its IOMMU, and with VFIO told to take the functions all the same. */
export const NOIOMMU_TOPOLOGY: Topology = {
  ...SRIOV_TOPOLOGY,
  name: "noiommu",
  // vfio-pci makes no virtual functions there, so there are none; nor has it the VGA adapter.
  functions: SRIOV_TOPOLOGY.functions
    .flatMap((spec) => (spec.physicalFunction === null && !spec.vga ? spec : []))
    .map((spec) => ({
      ...spec,
      group: -1,
      reservedRegions: [],
      apertureBits: 64,
    })),
  bridges: SRIOV_TOPOLOGY.bridges.map((bridge) => ({ ...bridge, group: -1 })),
  iommu: false,
  vtd: null,
  noiommu: true,
  sriov: false,
};

/** The same without no-IOMMU mode: VFIO takes none of the functions, and mocks of the kernel's selftests stand in for them. */
export const MOCK_TOPOLOGY: Topology = { ...NOIOMMU_TOPOLOGY, name: "mock", noiommu: false };

const workQueue = (given: Pick<WorkQueueSpec, "name" | "mode" | "type"> & Partial<WorkQueueSpec>): WorkQueueSpec => ({
  enabled: true,
  size: 16,
  threshold: given.mode === "shared" ? 8 : 0,
  priority: 10,
  maxTransferShift: 12,
  maxBatchShift: 5,
  blockOnFault: false,
  ...given,
});

/**
 * A machine that there is only on the model: an Intel Data Streaming Accelerator whose work queues are handed to guests as
 * mediated devices, as a series of 2020 and 2021 proposed it for the driver idxd. See mdev/idxd/.
 */
export const IDXD_TOPOLOGY: Topology = {
  ...REFERENCE_TOPOLOGY,
  name: "idxd",
  functions: [],
  bridges: [],
  vtd: null,
  mdevParents: ["idxd"],
  mdevs: [0, 1, 2, 3].map((n) => ({
    name: `vdsa${n}`,
    uuid: `83b8f4f2-509f-382f-3c1e-e6bfe0fa200${n}`,
    standing: null,
  })),
  workQueues: [
    workQueue({ name: "wq0.0", mode: "dedicated", type: "mdev" }),
    workQueue({ name: "wq0.1", mode: "dedicated", type: "mdev", blockOnFault: true }),
    workQueue({ name: "wq0.2", mode: "shared", type: "mdev", blockOnFault: true }),
    workQueue({ name: "wq0.3", mode: "dedicated", type: "user" }),
    workQueue({ name: "wq0.4", mode: "shared", type: "kernel" }),
    workQueue({ name: "wq0.5", mode: "dedicated", type: "none", enabled: false }),
  ],
};
