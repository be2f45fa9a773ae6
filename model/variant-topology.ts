/**
 * A machine of functions that vfio-pci is not enough for: each has a driver of its own that is built on the same library, or
 * more for the library to show. No guest of QEMU's has them, so that only the model has the machine.
 */
import type { FunctionTraits } from "./pci/traits.ts";
import { REFERENCE_TOPOLOGY } from "./reference-topology.ts";
import type { Bar, FunctionSpec, Topology } from "./topology.ts";
import { type ConfigParts, configOf, ioPorts, wide } from "./variant-config.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const MSI_WINDOW = { start: 0xfee0_0000n, last: 0xfeef_ffffn };

type Given = Pick<ConfigParts, "vendor" | "device" | "class"> &
  Partial<Omit<ConfigParts, "vendor" | "device" | "class" | "bars">> & {
    readonly name: string;
    readonly bus: number;
    readonly bars: Readonly<Record<number, Bar>>;
    readonly traits: FunctionTraits;
    readonly vga?: boolean;
  };

/** A function alone in its group, and on a bus that nothing else is reset with. */
function alone({ name, bus, traits, vga = false, ...given }: Given): FunctionSpec {
  const bars = Array.from({ length: 7 }, (_, index) => given.bars[index] ?? null);
  const parts: ConfigParts = {
    revision: 0,
    subvendor: given.vendor,
    subdevice: 1,
    express: true,
    msix: null,
    intx: false,
    ...given,
    bars,
  };
  return {
    name,
    address: `0000:${bus.toString(16).padStart(2, "0")}:00.0`,
    segment: 0,
    totalVfs: 0,
    physicalFunction: null,
    bus,
    devfn: 0,
    vendor: given.vendor,
    device: given.device,
    class: given.class,
    group: bus,
    resettable: true,
    resetScope: null,
    hotResetWorks: false,
    bars,
    romImage: false,
    rom: null,
    ...configOf(parts),
    express: parts.express,
    vga,
    intx: parts.intx,
    msi: 0,
    msix: parts.msix?.vectors ?? 0,
    msixBar: parts.msix?.bar ?? -1,
    reservedRegions: [MSI_WINDOW],
    apertureBits: 39,
    pageSizes: 0x4020_1000n,
    nativeDriver: null,
    traits,
    atomics: null,
  };
}

const ETHERNET = 0x02_00_00;
const CRYPTO = 0x10_80_00;
const VIRTIO_NET = { vendor: 0x1af4, device: 0x1041, class: ETHERNET, revision: 1, subdevice: 0x1100 } as const;
const HISI = { vendor: 0x19e5, device: 0xa256, class: CRYPTO, bars: { 2: wide(64 * KIB) } } as const;
const NVGRACE = { vendor: 0x10de, device: 0x2342, class: 0x03_02_00, bars: { 0: wide(16 * MIB) } } as const;

const FUNCTIONS: readonly FunctionSpec[] = [
  alone({
    name: "mlx5vf0",
    bus: 0x10,
    vendor: 0x15b3,
    device: 0x101e,
    class: ETHERNET,
    bars: { 0: wide(MIB) },
    msix: { vectors: 12, bar: 0 },
    traits: {
      kind: "mlx5",
      migratable: true,
      logs: { smallest: 8 * KIB, largest: MIB },
      stateSize: 96,
      restSize: 40,
    },
  }),
  alone({
    name: "mlx5vf1",
    bus: 0x11,
    vendor: 0x15b3,
    device: 0x101e,
    class: ETHERNET,
    bars: { 0: wide(MIB) },
    traits: { kind: "mlx5", migratable: false, logs: null, stateSize: 0, restSize: 0 },
  }),
  alone({ ...HISI, name: "sec0", bus: 0x12, traits: { kind: "hisi-acc", migratable: true, ready: true, queues: 2 } }),
  alone({ ...HISI, name: "sec1", bus: 0x13, traits: { kind: "hisi-acc", migratable: true, ready: false, queues: 2 } }),
  alone({ ...HISI, name: "sec2", bus: 0x14, traits: { kind: "hisi-acc", migratable: false, ready: false, queues: 2 } }),
  alone({
    name: "pdsvf0",
    bus: 0x15,
    vendor: 0x1dd8,
    device: 0x1003,
    class: ETHERNET,
    bars: { 0: wide(16 * KIB) },
    traits: { kind: "pds", stateSize: 120, maxRegions: 8 },
  }),
  alone({
    ...VIRTIO_NET,
    name: "virtiovf0",
    bus: 0x16,
    bars: { 4: wide(16 * KIB) },
    msix: { vectors: 3, bar: 4 },
    traits: { kind: "virtio", legacyIo: true, partsSize: 64 },
  }),
  alone({
    ...VIRTIO_NET,
    name: "virtiovf1",
    bus: 0x17,
    bars: { 0: wide(16 * KIB) },
    traits: { kind: "virtio", legacyIo: true, partsSize: 64 },
  }),
  alone({
    ...NVGRACE,
    name: "grace0",
    bus: 0x18,
    // Neither what is left of it nor what is set apart fills its BAR.
    traits: { kind: "nvgrace-gpu", memory: 3 * GIB + 256 * MIB, setsApart: true },
  }),
  alone({
    ...NVGRACE,
    name: "grace1",
    bus: 0x19,
    traits: { kind: "nvgrace-gpu", memory: 3 * GIB, setsApart: false },
  }),
  alone({ ...NVGRACE, name: "grace2", bus: 0x1a, traits: { kind: "nvgrace-gpu", memory: 0, setsApart: true } }),
  alone({
    name: "qatvf0",
    bus: 0x1b,
    vendor: 0x8086,
    device: 0x4941,
    class: 0x0b_40_00,
    bars: { 0: wide(4 * KIB), 2: wide(8 * KIB) },
    traits: { kind: "qat", stateSize: 160, setupSize: 48 },
  }),
  alone({
    name: "xevf0",
    bus: 0x1f,
    vendor: 0x8086,
    device: 0xe20b,
    class: 0x03_00_00,
    bars: { 0: wide(16 * MIB), 2: wide(256 * MIB) },
    traits: { kind: "xe", stateSize: 100 },
  }),
  alone({
    name: "igd0",
    bus: 0x1c,
    vendor: 0x8086,
    device: 0x9a49,
    class: 0x03_00_00,
    vga: true,
    intx: true,
    bars: { 0: wide(16 * MIB), 2: wide(256 * MIB), 4: ioPorts(64) },
    more: [[0xfc, 0x7a9f_3018]],
    traits: {
      kind: "igd",
      opRegion: { version: 0x0200, size: 8 * KIB, extendedTable: 9 * KIB },
      hostBridge: "0:8680149a0600902001000006",
      lpcBridge: "0:868082a00704000220000106",
    },
  }),
  alone({
    name: "igd1",
    bus: 0x1d,
    vendor: 0x8086,
    device: 0x9a49,
    class: 0x03_00_00,
    intx: true,
    bars: { 0: wide(16 * MIB) },
    traits: { kind: "igd", opRegion: null, hostBridge: null, lpcBridge: null },
  }),
  alone({
    name: "zpci0",
    bus: 0x1e,
    vendor: 0x1014,
    device: 0x044b,
    class: 0x12_00_00,
    bars: { 0: wide(16 * KIB) },
    traits: {
      kind: "zpci",
      startDma: 0x1_0000_0000n,
      endDma: 0xff_ffff_ffffn,
      pchid: 0x013c,
      vfn: 1,
      functionType: 0,
      groupId: 5,
      handle: 0x8000_0013,
      dmaMask: 0xffff_ffff_ffff_ffffn,
      msiAddress: 0xfe00_0000n,
      maxMsi: 16,
      version: 1,
      maxStoreBlock: 128,
      utilityString: "SUITE",
      path: [1, 0, 4, 0],
    },
  }),
];

export const VARIANT_TOPOLOGY: Topology = {
  ...REFERENCE_TOPOLOGY,
  name: "variants",
  functions: FUNCTIONS,
  bridges: [],
  drivers: [
    "vfio-pci",
    "pci-stub",
    "mlx5_vfio_pci",
    "hisi_acc_vfio_pci",
    "pds_vfio_pci",
    "virtio_vfio_pci",
    "nvgrace_gpu_vfio_pci",
    "qat_vfio_pci",
    "xe-vfio-pci",
  ],
  mdevParents: [],
  mdevs: [],
};
