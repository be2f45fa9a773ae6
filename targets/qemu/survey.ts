/**
 * Asks a booted guest (or this host) what it really is: its release, its PCI functions as sysfs shows them, its IOMMU
 * groups, and which of the device nodes that matter exist.
 */

import type { FunctionId } from "../../model/driver-core/pci-id.ts";
import { Assembler } from "../agent/assembler.ts";
import type { AgentConnection } from "../agent/connection.ts";
import { SCRATCH } from "../agent/layout.ts";
import { AT_FDCWD, SYS } from "../lower/syscalls.ts";
import type { MachineDevice } from "./machines.ts";

const TIMEOUT_MS = 30_000;

const PATH = SCRATCH.address;
const BYTES = SCRATCH.address + 4096;
const FILE_LIMIT = 8192;
const SRIOV_PARAMETER = "/sys/module/vfio_pci/parameters/enable_sriov";
const NOIOMMU_PARAMETER = "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode";

/** A region of a PCI function, as a line of its sysfs `resource` file has it; all zero where there is none. */
export interface ResourceLine {
  readonly start: bigint;
  readonly end: bigint;
  /** The kernel's `IORESOURCE_*` bits. */
  readonly flags: bigint;
}

/** A PCI function as sysfs shows it. */
export interface SurveyedDevice {
  /** Our name for it, or its address where the machine has none. */
  readonly name: string;
  /** `0000:01:00.0` */
  readonly bdf: string;
  readonly vendor: number;
  readonly device: number;
  /** 24 bits: base class, subclass, programming interface. */
  readonly class: number;
  readonly iommuGroup: number | undefined;
  /** The addresses of all functions in its group, its own among them; empty without a group. */
  readonly groupMembers: readonly string[];
  readonly resources: readonly ResourceLine[];
  /** Configuration space: 256 bytes, or 4096 for PCI Express. */
  readonly config: Uint8Array;
  readonly driver: string | undefined;
  /** What `reset_method` lists, in the kernel's order of trying; empty if it cannot be reset. */
  readonly resetMethods: readonly string[];
  /** Whether a reset through sysfs succeeded. */
  readonly resets: boolean;
  /** Whether its ROM could be read. */
  readonly romImage: boolean;
  readonly reservedRanges: readonly ReservedRange[];
}

/** A PCI function and where it is. */
export interface PlacedFunction {
  readonly bdf: string;
  /** Addresses of the bridges above it, from the root down. */
  readonly above: readonly string[];
  readonly iommuGroup: number | undefined;
  readonly id: FunctionId;
  readonly driver: string | undefined;
}

/** Addresses that a group may not map, and why: `direct`, `reserved`, `msi`, `direct-relaxable`. */
export interface ReservedRange {
  readonly start: bigint;
  readonly last: bigint;
  readonly type: string;
}

/** See the file's comment. */
export interface Survey {
  /** `uname -r` */
  readonly release: string;
  /** The kernel's command line. */
  readonly cmdline: string;
  /** The machine's named devices, in its order. */
  readonly devices: readonly SurveyedDevice[];
  /** Every PCI function, named or not. */
  readonly functions: readonly PlacedFunction[];
  /** Parents of mediated devices: `mtty`, `mdpy`. */
  readonly mdevParents: readonly string[];
  /** Drivers of the PCI bus. */
  readonly drivers: readonly string[];
  /** Bits of an address that the first IOMMU translates, from its capability register; 64 without one. */
  readonly addressBits: number;
  /** Page sizes that it maps, one bit each. */
  readonly pageSizes: bigint;
  /** Capability and extended capability register of the first IOMMU, where that is VT-d's. */
  readonly vtd: { readonly cap: bigint; readonly ecap: bigint } | undefined;
  /** dma_entry_limit of type1; 0 where the module is not there. */
  readonly dmaEntryLimit: number;
  /** Which of `/dev/kvm`, `/dev/iommu`, `/dev/vfio/vfio` exist. */
  readonly nodes: readonly string[];
  /** The IOMMUs that the kernel registered: `dmar0`, … */
  readonly iommus: readonly string[];
  /** Whether VFIO takes devices that no IOMMU isolates. */
  readonly noiommu: boolean;
  /** Whether vfio-pci makes virtual functions. */
  readonly sriov: boolean;
  /** Why programs can't have allocations fail, or null. */
  readonly noFailNth: string | null;
}

/** A device of the machine did not show up. */
export class SurveyError extends Error {
  override readonly name = "SurveyError";
}

/**
 * Surveys the system at the other end.
 *
 * @param devices which functions to look at: a machine's, by their place in the topology, or, on a host, addresses
 * @throws SurveyError if one of them is not there.
 */
export async function survey(
  agent: AgentConnection,
  devices: readonly MachineDevice[] | readonly string[],
): Promise<Survey> {
  const places = await addressesByPlace(agent);
  const all = [...places.values()];
  const surveyed: SurveyedDevice[] = [];
  for (const device of devices) {
    const name = typeof device === "string" ? device : device.name;
    const bdf = typeof device === "string" ? device : places.get(device.path.join("/"));
    if (bdf === undefined || !all.includes(bdf)) throw new SurveyError(`The device ${name} is not on this system.`);
    surveyed.push(await surveyDevice(agent, name, bdf));
  }
  const nodes: string[] = [];
  for (const [directory, name] of [
    ["/dev", "kvm"],
    ["/dev", "iommu"],
    ["/dev/vfio", "vfio"],
  ] as const) {
    if ((await list(agent, directory)).includes(name)) nodes.push(`${directory}/${name}`);
  }
  const functions: PlacedFunction[] = [];
  for (const bdf of all) {
    const directory = `/sys/bus/pci/devices/${bdf}`;
    const link = await readLink(agent, directory);
    const path = [...link.matchAll(/\/([0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])/g)].flatMap(
      (match) => match[1] ?? [],
    );
    const group = baseName(await readLink(agent, `${directory}/iommu_group`));
    functions.push({
      bdf,
      above: path.slice(0, -1),
      iommuGroup: group === undefined ? undefined : Number(group),
      id: {
        vendor: Number(await readText(agent, `${directory}/vendor`)),
        device: Number(await readText(agent, `${directory}/device`)),
        subvendor: Number(await readText(agent, `${directory}/subsystem_vendor`)),
        subdevice: Number(await readText(agent, `${directory}/subsystem_device`)),
        class: Number(await readText(agent, `${directory}/class`)),
      },
      driver: baseName(await readLink(agent, `${directory}/driver`)),
    });
  }
  const capability = await iommuRegister(agent, "cap");
  const extended = await iommuRegister(agent, "ecap");
  return {
    functions,
    mdevParents: await list(agent, "/sys/class/mdev_bus"),
    drivers: await list(agent, "/sys/bus/pci/drivers"),
    addressBits: addressBits(capability),
    pageSizes: pageSizes(capability),
    vtd: capability !== undefined && extended !== undefined ? { cap: capability, ecap: extended } : undefined,
    dmaEntryLimit: Number(await readText(agent, "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit")),
    release: await readText(agent, "/proc/sys/kernel/osrelease"),
    cmdline: await readText(agent, "/proc/cmdline"),
    devices: surveyed,
    nodes,
    iommus: await list(agent, "/sys/class/iommu"),
    sriov: (await readText(agent, SRIOV_PARAMETER)) === "Y",
    noiommu: (await readText(agent, NOIOMMU_PARAMETER)) === "Y",
    noFailNth: await whyNoFailNth(agent),
  };
}

/** Every PCI function's address, by its place in the topology: `05.0/00.1`. */
export async function addressesByPlace(agent: AgentConnection): Promise<Map<string, string>> {
  const places = new Map<string, string>();
  for (const bdf of await list(agent, "/sys/bus/pci/devices")) {
    places.set(placeOf(await readLink(agent, `/sys/bus/pci/devices/${bdf}`)), bdf);
  }
  return places;
}

async function surveyDevice(agent: AgentConnection, name: string, bdf: string): Promise<SurveyedDevice> {
  const directory = `/sys/bus/pci/devices/${bdf}`;
  const group = baseName(await readLink(agent, `${directory}/iommu_group`));
  const resetMethods = await readText(agent, `${directory}/reset_method`);
  return {
    name,
    bdf,
    vendor: Number(await readText(agent, `${directory}/vendor`)),
    device: Number(await readText(agent, `${directory}/device`)),
    class: Number(await readText(agent, `${directory}/class`)),
    iommuGroup: group === undefined ? undefined : Number(group),
    groupMembers: group === undefined ? [] : await list(agent, `${directory}/iommu_group/devices`),
    resources: parseResources(await readText(agent, `${directory}/resource`)),
    config: (await readFile(agent, `${directory}/config`)) ?? new Uint8Array(),
    driver: baseName(await readLink(agent, `${directory}/driver`)),
    resetMethods: resetMethods.split(/\s+/).filter(Boolean),
    resets: await writeText(agent, `${directory}/reset`, "1"),
    romImage:
      (await writeText(agent, `${directory}/rom`, "1")) &&
      ((await readFile(agent, `${directory}/rom`))?.length ?? 0) > 0,
    reservedRanges:
      group === undefined
        ? []
        : parseRanges(await readText(agent, `/sys/kernel/iommu_groups/${group}/reserved_regions`)),
  };
}

/** `../../../devices/pci0000:00/0000:00:07.0/0000:02:01.0` is at `07.0/01.0`: bus numbers are the kernel's to choose. */
function placeOf(link: string): string {
  return [...link.matchAll(/\/[0-9a-f]{4,}:[0-9a-f]{2}:([0-9a-f]{2}\.[0-7])/g)].map((match) => match[1]).join("/");
}

function parseResources(text: string): ResourceLine[] {
  return text.split("\n").flatMap((line) => {
    const [start, end, flags] = line.split(" ");
    if (start === undefined || end === undefined || flags === undefined) return [];
    return [{ start: BigInt(start), end: BigInt(end), flags: BigInt(flags) }];
  });
}

function baseName(path: string): string | undefined {
  return path === "" ? undefined : path.slice(path.lastIndexOf("/") + 1);
}

/** A capability register of the first IOMMU, where that is VT-d's. */
async function iommuRegister(agent: AgentConnection, name: "cap" | "ecap"): Promise<bigint | undefined> {
  const [first] = await list(agent, "/sys/class/iommu");
  const text = first && (await readText(agent, `/sys/class/iommu/${first}/intel-iommu/${name}`));
  return text ? BigInt(`0x${text}`) : undefined;
}

async function whyNoFailNth(agent: AgentConnection): Promise<string | null> {
  const faults = (await list(agent, "/sys/kernel/debug")).filter((name) => name.startsWith("fail"));
  if (!faults.includes("failslab")) {
    return "The kernel can't fail allocations: it takes CONFIG_FAILSLAB and CONFIG_FAULT_INJECTION_DEBUG_FS, and debugfs.";
  }
  if (!(await list(agent, "/proc/self")).includes("fail-nth")) return "The kernel has no /proc/self/fail-nth.";
  // It ends calls in EFAULT, which can't be told from that of a bug.
  if (faults.includes("fail_usercopy"))
    return "The kernel has CONFIG_FAIL_USERCOPY: fail-nth would hit copies as well.";
  return null;
}

/** VT-d's maximum guest address width, bits 16 to 21 of the capability register, counts from one. */
function addressBits(capability: bigint | undefined): number {
  return capability === undefined ? 64 : Number((capability >> 16n) & 0x3fn) + 1;
}

/** VT-d's large pages, bits 34 and up of the capability register: 2 MiB, 1 GiB. */
function pageSizes(capability = 0n): bigint {
  const large = (capability >> 34n) & 3n;
  return 0x1000n | ((large & 1n) << 21n) | ((large >> 1n) << 30n);
}

function parseRanges(text: string): ReservedRange[] {
  return text.split("\n").flatMap((line) => {
    const [start, last, type] = line.split(" ");
    if (start === undefined || last === undefined || type === undefined) return [];
    return [{ start: BigInt(start), last: BigInt(last), type }];
  });
}

/** Writes text to a file; whether that succeeded. */
async function writeText(agent: AgentConnection, path: string, text: string): Promise<boolean> {
  const code = new Assembler()
    .pokeText(PATH, path)
    .pokeText(BYTES, text)
    .syscall(SYS.openat, AT_FDCWD, PATH, 1)
    .keep(0)
    .unlessFailed((then) => then.syscall(SYS.write, { slot: 0 }, BYTES, text.length).syscall(SYS.close, { slot: 0 }))
    .finish();
  const output = await run(agent, code);
  return output.readBigInt64LE(0) >= 0n && output.length >= 16 && output.readBigInt64LE(8) >= 0n;
}

/** The first 8 KiB of a file; undefined if it cannot be read. */
async function readFile(agent: AgentConnection, path: string): Promise<Uint8Array | undefined> {
  const code = new Assembler()
    .pokeText(PATH, path)
    .syscall(SYS.openat, AT_FDCWD, PATH, 0)
    .keep(0)
    .unlessFailed((then) => then.syscall(SYS.read, { slot: 0 }, BYTES, FILE_LIMIT).syscall(SYS.close, { slot: 0 }))
    .peek(BYTES, FILE_LIMIT)
    .finish();
  const output = await run(agent, code);
  const opened = output.readBigInt64LE(0) >= 0n;
  const length = opened ? Number(output.readBigInt64LE(8)) : -1;
  return length < 0 ? undefined : output.subarray(24, 24 + length);
}

async function readText(agent: AgentConnection, path: string): Promise<string> {
  return new TextDecoder().decode((await readFile(agent, path)) ?? new Uint8Array()).trim();
}

/** Where a symbolic link points; empty if there is none. */
async function readLink(agent: AgentConnection, path: string): Promise<string> {
  const code = new Assembler()
    .pokeText(PATH, path)
    .syscall(SYS.readlink, PATH, BYTES, FILE_LIMIT)
    .peek(BYTES, FILE_LIMIT)
    .finish();
  const output = await run(agent, code);
  const length = Math.max(0, Number(output.readBigInt64LE(0)));
  return output.toString("utf8", 8, 8 + length);
}

/** The sorted names in a directory; none if it cannot be read. */
async function list(agent: AgentConnection, path: string): Promise<string[]> {
  const output = await run(agent, new Assembler().pokeText(PATH, path).list(PATH).finish());
  const count = output.readInt32LE(0);
  return count <= 0 ? [] : output.toString("utf8", 8, 8 + output.readUInt32LE(4)).split("\n");
}

async function run(agent: AgentConnection, code: Uint8Array): Promise<Buffer> {
  const result = await agent.runOne({ id: 0, code, timeoutMs: TIMEOUT_MS });
  if (result.status.kind !== "done") throw new SurveyError(`The survey ended in ${JSON.stringify(result.status)}.`);
  return Buffer.from(result.output);
}
