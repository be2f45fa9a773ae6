/** The topology of a system that was surveyed: what sysfs and configuration space show, in the model's terms. */
import { PCI_DRIVERS } from "../model/driver-core/pci-driver.ts";
import { formatRegisters } from "../model/pci/register-text.ts";
import { SRIOV, sriovAt } from "../model/pci/sriov-registers.ts";
import { type Bar, type BridgeSpec, type FunctionSpec, mdevsFor, type Topology } from "../model/topology.ts";
import type { PlacedFunction, ResourceLine, Survey, SurveyedDevice } from "./qemu/survey.ts";

const IO_PORTS = 0x100n;
const MEMORY = 0x200n;
const PAGE = 4096n;

const CAPABILITIES = 0x34;
const CAP_MSI = 0x05;
const CAP_EXPRESS = 0x10;
const CAP_MSIX = 0x11;

/** Facts that a survey can't show. */
export interface Hints {
  /** Whether a hot reset of what is behind this bridge succeeds. */
  hotResetWorks(bridge: PlacedFunction): boolean;
  /** What the suite has put into the ROM of a function, if anything. */
  romOf(device: SurveyedDevice): Uint8Array | null;
}

export function topologyOf(name: string, survey: Survey, hints: Hints): Topology {
  const placed = new Map(survey.functions.map((each) => [each.bdf, each]));
  const scopes = new Map<string, string>();
  for (const { bdf, above } of survey.functions) {
    const bridge = above.at(-1);
    if (bridge !== undefined) scopes.set(bridge, bdf.slice(0, 7));
  }
  const named = new Set(survey.devices.map(({ bdf }) => bdf));
  const bridges: BridgeSpec[] = [];
  for (const { bdf, above, iommuGroup, id, driver } of survey.functions) {
    if (named.has(bdf)) continue;
    bridges.push({
      address: bdf,
      group: iommuGroup ?? -1,
      resetScope: above.length > 0 ? bdf.slice(0, 7) : null,
      scopeBehind: scopes.get(bdf) ?? null,
      id,
      bound: driver !== undefined,
    });
  }
  return {
    name,
    functions: survey.devices.map((device) => functionOf(device, survey, placed, hints)),
    bridges,
    drivers: [...PCI_DRIVERS.keys()].filter((driver) => survey.drivers.includes(driver)),
    wholeBus: true,
    managed: [],
    mdevParents: survey.mdevParents,
    mdevs: mdevsFor(survey.mdevParents),
    // What /sys/class/iommu lists may be the mock of the kernel's selftests.
    iommu: survey.devices.some(({ iommuGroup }) => iommuGroup !== undefined),
    vtd: survey.vtd ?? null,
    noiommu: survey.noiommu,
    nesting: false,
    sriov: survey.sriov,
    kvm: survey.nodes.includes("/dev/kvm"),
    noFailNth: survey.noFailNth,
    dmaEntryLimit: survey.dmaEntryLimit,
  };
}

function functionOf(
  device: SurveyedDevice,
  survey: Survey,
  placed: ReadonlyMap<string, PlacedFunction>,
  hints: Hints,
): FunctionSpec {
  const [segment = "0", bus = "0", rest = "0.0"] = device.bdf.split(":");
  const [slot = "0", fn = "0"] = rest.split(".");
  const bridge = placed.get(placed.get(device.bdf)?.above.at(-1) ?? "");
  const msi = capability(device.config, CAP_MSI);
  const msix = capability(device.config, CAP_MSIX);
  const sriov = sriovAt(device.config);
  const rom = hints.romOf(device);
  return {
    name: device.name,
    address: device.bdf,
    segment: Number.parseInt(segment, 16),
    bus: Number.parseInt(bus, 16),
    devfn: (Number.parseInt(slot, 16) << 3) | Number.parseInt(fn, 16),
    vendor: device.vendor,
    device: device.device,
    class: device.class,
    group: device.iommuGroup ?? -1,
    resettable: device.resets,
    resetScope: bridge ? device.bdf.slice(0, 7) : null,
    hotResetWorks: bridge !== undefined && hints.hotResetWorks(bridge),
    bars: Array.from({ length: 7 }, (_, at) => barOf(device.resources[at], survey)),
    romImage: device.romImage,
    rom: rom && formatRegisters(rom),
    totalVfs: sriov === 0 ? 0 : word(device.config, sriov + SRIOV.TOTAL_VFS),
    physicalFunction: null,
    configSize: device.config.length,
    express: capability(device.config, CAP_EXPRESS) !== 0,
    config: formatRegisters(device.config),
    configKeeps: null,
    vga: device.class >> 8 === 0x0300,
    intx: byte(device.config, 0x3d) !== 0,
    msi: msi === 0 ? 0 : 1 << ((word(device.config, msi + 2) >> 1) & 7),
    msix: msix === 0 ? 0 : (word(device.config, msix + 2) & 0x7ff) + 1,
    msixBar: msix === 0 ? -1 : byte(device.config, msix + 4) & 7,
    nativeDriver: nativeDriver(device),
    reservedRegions: device.reservedRanges
      .filter(({ type }) => type !== "direct-relaxable")
      .map(({ start, last }) => ({ start, last })),
    apertureBits: survey.addressBits,
    pageSizes: survey.pageSizes,
    atomics: null,
  };
}

/** The driver that it came up with. Those that take any function have it because somebody said so. */
function nativeDriver({ driver }: SurveyedDevice): string | null {
  return driver === undefined || PCI_DRIVERS.get(driver)?.takesAny ? null : driver;
}

function barOf(line: ResourceLine | undefined, { devices }: Survey): Bar | null {
  if (!line || (line.flags & (MEMORY | IO_PORTS)) === 0n) return null;
  const size = line.end - line.start + 1n;
  const memory = (line.flags & MEMORY) !== 0n;
  const page = line.start / PAGE;
  const alone =
    line.start % PAGE === 0n &&
    !devices.some(({ resources }) =>
      resources.some(
        (other) => other !== line && other.flags !== 0n && other.start / PAGE <= page && page <= other.end / PAGE,
      ),
    );
  return { size: Number(size), memory, mappable: memory && (size >= PAGE || alone) };
}

/** Offset of a capability in configuration space, or 0. */
function capability(config: Uint8Array, id: number): number {
  let at = byte(config, CAPABILITIES) & 0xfc;
  for (let left = 48; at !== 0 && left > 0; left--) {
    if (byte(config, at) === id) return at;
    at = byte(config, at + 1) & 0xfc;
  }
  return 0;
}

const byte = (config: Uint8Array, at: number): number => config[at] ?? 0;
const word = (config: Uint8Array, at: number): number => byte(config, at) | (byte(config, at + 1) << 8);
