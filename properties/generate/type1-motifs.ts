/** Motifs about containers: some groups, a type1 instance, and memory mapped in it. */
import { ioctl, ioctlValue } from "../../model/ioctl-calls.ts";
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import { DIRTY, DirtyPages, DmaMap, DmaUnmap, MAP, UNMAP } from "../../model/vfio/type1-layouts.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import { getDevice, type Make, open, setContainer, setIommu } from "./motif-calls.ts";
import type { Motif } from "./motifs.ts";
import { credentials, type Situation } from "./moves.ts";
import { handedOver } from "./process-motifs.ts";

const V1 = 1;
const V2 = 3;

/** A container with a group of each device; gives its handle. */
function container(on: Situation, make: Make, devices: readonly string[]): string {
  const fd = open(on, make, { kind: "container" });
  for (const device of devices) join(on, make, fd, device);
  return fd;
}

function join(on: Situation, make: Make, fd: string, device: string): string {
  const group = open(on, make, { kind: "group", device });
  setContainer(make, group, fd);
  return group;
}

const READ_WRITE = MAP.READ | MAP.WRITE;

function map(make: Make, fd: string, iova: number | bigint, size: number | bigint, flags: number = READ_WRITE): void {
  make(ioctl(fd, "VFIO_IOMMU_MAP_DMA", { argsz: DmaMap.size, flags, vaddr: MEMORY.user, iova, size }));
}

/** A few mappings side by side, in order of falling addresses. */
function mapSome({ dice }: Situation, make: Make, fd: string): void {
  for (let n = dice.roll(4); n > 0; n--) map(make, fd, n * 4 * PAGE, pick(dice, [1, 2, 4]) * PAGE);
}

/** Some devices, the same never twice. */
function some(dice: Dice, devices: readonly string[]): string[] {
  const names = new Set<string>();
  for (let left = 1 + dice.roll(3); left > 0; left--) names.add(pick(dice, devices));
  return [...names];
}

/** Groups, an instance, a few mappings side by side. */
const mapped: Motif = (on, make) => {
  const fd = container(on, make, some(on.dice, on.focus.devices));
  setIommu(make, fd, oneIn(on.dice, 3) ? V1 : V2);
  mapSome(on, make, fd);
};

/** The same for a caller that may lock little memory. */
const limited: Motif = (on, make) => {
  make({ op: "capset", without: ["CAP_IPC_LOCK"] });
  make(credentials(on.dice));
  mapped(on, make);
};

/** More mappings than fit. */
const full: Motif = (on, make) => {
  const fd = container(on, make, some(on.dice, on.focus.devices));
  setIommu(make, fd, oneIn(on.dice, 4) ? V1 : V2);
  const { dmaEntryLimit } = on.machine.k.topology;
  for (let n = 0; n <= dmaEntryLimit && n < 12; n++) map(make, fd, 2 * n * PAGE, PAGE);
};

/** The last page that there is. */
const TOP = (1n << 64n) - 4096n;

/** Where the interrupt window is, what 39 bits do not reach, and what no bitmap can describe. */
const ODD_RANGES: readonly (readonly [iova: number | bigint, size: number | bigint])[] = [
  [0xfee0_0000, PAGE],
  [1n << 39n, PAGE],
  [(1n << 39n) - 4096n, PAGE],
  [1n << 48n, 1n << 48n],
  [TOP, PAGE],
];

/** Mappings of an emulated device alone, then a device behind an IOMMU joins, for a caller who may do more or less by then. */
const joined: Motif = (on, make) => {
  const { dice, focus, machine } = on;
  const { mdevs, topology } = machine.k;
  const emulated = mdevs.find(({ name }) => focus.devices.includes(name));
  const functions = topology.functions.filter(({ name }) => focus.devices.includes(name));
  if (!emulated || functions.length === 0) return mapped(on, make);
  const fd = container(on, make, [emulated.name]);
  setIommu(make, fd, oneIn(dice, 4) ? V1 : V2);
  if (oneIn(dice, 4)) make(credentials(dice));
  mapSome(on, make, fd);
  if (oneIn(dice, 3)) map(make, fd, ...pick(dice, ODD_RANGES));
  if (oneIn(dice, 2)) log(make, fd, DIRTY.START);
  for (let left = dice.roll(3); left > 0; left--) make(credentials(dice));
  const group = join(on, make, fd, pick(dice, functions).name);
  if (oneIn(dice, 2)) return;
  make(ioctlValue(group, "VFIO_GROUP_UNSET_CONTAINER"));
  log(make, fd, DIRTY.GET_BITMAP, 0, 32);
};

/** The caller gives up or takes back CAP_IPC_LOCK between a mapping and the group that has it pinned. */
const toggled: Motif = (on, make) => {
  const { dice, focus, machine } = on;
  const emulated = machine.k.mdevs.find(({ name }) => focus.devices.includes(name));
  const functions = machine.k.topology.functions.filter(({ name }) => focus.devices.includes(name));
  if (!emulated || functions.length === 0) return limited(on, make);
  const fd = container(on, make, [emulated.name]);
  setIommu(make, fd, V2);
  const withIt = oneIn(dice, 2);
  if (!withIt) make({ op: "capset", without: ["CAP_IPC_LOCK"] });
  map(make, fd, 0, 4 * PAGE);
  make({ op: "capset", without: withIt ? ["CAP_IPC_LOCK"] : [] });
  make({ op: "prlimit", resource: "RLIMIT_MEMLOCK", soft: dice.roll(5) * PAGE, hard: 8 << 20 });
  join(on, make, fd, pick(dice, functions).name);
};

/** Mappings of an emulated device alone at the end of the address space. */
const topmost: Motif = (on, make) => {
  const emulated = on.machine.k.mdevs.find(({ name }) => on.focus.devices.includes(name));
  if (!emulated) return mapped(on, make);
  const fd = container(on, make, [emulated.name]);
  setIommu(make, fd, oneIn(on.dice, 3) ? V1 : V2);
  if (oneIn(on.dice, 2)) log(make, fd, DIRTY.START);
  map(make, fd, TOP - 4096n, PAGE);
  map(make, fd, TOP, PAGE);
  if (oneIn(on.dice, 2)) log(make, fd, DIRTY.GET_BITMAP, TOP - 4096n, 2);
  map(make, fd, TOP, PAGE);
  const iova = TOP - BigInt(on.dice.roll(3) * PAGE);
  make(ioctl(fd, "VFIO_IOMMU_UNMAP_DMA", { argsz: DmaUnmap.size, iova, size: (1n << 64n) - iova }));
};

/** A mapping loses its address and gets another, or a group comes in between. */
const moved: Motif = (on, make) => {
  const { dice, focus } = on;
  const fd = container(on, make, some(dice, focus.devices));
  setIommu(make, fd, oneIn(dice, 3) ? V1 : V2);
  mapSome(on, make, fd);
  map(make, fd, 0, 2 * PAGE);
  make(ioctl(fd, "VFIO_IOMMU_UNMAP_DMA", { argsz: DmaUnmap.size, flags: UNMAP.VADDR, size: 2 * PAGE }));
  if (oneIn(dice, 2)) join(on, make, fd, pick(dice, focus.devices));
  map(make, fd, 0, 2 * PAGE, MAP.VADDR);
};

/** Begins or ends logging, or asks for what was logged in a range. */
function log(make: Make, fd: string, flags: number, iova: number | bigint = 0, pages = 0): void {
  const bitmap = pages === 0 ? {} : { bitmap_pgsize: PAGE, bitmap_size: 8, bitmap_data: { fields: {} } };
  const range = { iova, size: pages * PAGE, ...bitmap };
  make(ioctl(fd, "VFIO_IOMMU_DIRTY_PAGES", { argsz: DirtyPages.size, flags, ...range }));
}

/** Dirty pages are logged, some of the mappings made before, some after. */
const logged: Motif = (on, make) => {
  const { dice, focus } = on;
  const fd = container(on, make, some(dice, focus.devices));
  setIommu(make, fd, V2);
  mapSome(on, make, fd);
  if (oneIn(dice, 6)) map(make, fd, ...pick(dice, ODD_RANGES));
  log(make, fd, DIRTY.START);
  mapSome(on, make, fd);
  for (let left = dice.roll(4); left > 0; left--)
    log(make, fd, DIRTY.GET_BITMAP, dice.roll(5) * PAGE, 1 + dice.roll(32));
};

export const TYPE1_MOTIFS: readonly Motif[] = [
  mapped,
  mapped,
  limited,
  full,
  joined,
  joined,
  toggled,
  topmost,
  moved,
  logged,
  logged,
  handedOver,
];

/** A part of what is mapped for an open device goes, where only v1 lets it. */
const cut: Motif = (on, make) => {
  const { dice, focus } = on;
  const device = pick(dice, focus.devices);
  const fd = container(on, make, []);
  const group = join(on, make, fd, device);
  setIommu(make, fd, oneIn(dice, 4) ? V2 : V1);
  getDevice(on, make, group, device);
  map(make, fd, 0, 8 * PAGE);
  for (let left = 1 + dice.roll(3); left > 0; left--) {
    const size = (1 + dice.roll(3)) * PAGE;
    make(ioctl(fd, "VFIO_IOMMU_UNMAP_DMA", { argsz: DmaUnmap.size, iova: dice.roll(8) * PAGE, size }));
  }
};

/** What programs do with a container, by those that take an iommufd for one. */
export const COMPAT_MOTIFS: readonly Motif[] = [
  mapped,
  mapped,
  joined,
  joined,
  toggled,
  limited,
  moved,
  cut,
  cut,
  cut,
].map(
  (motif) => (on, make) =>
    motif(on, (call) =>
      make(call.op === "open" && call.node.kind === "container" ? { ...call, node: { kind: "iommufd" } } : call),
    ),
);
