/** Motifs about containers: some groups, a type1 instance, and memory mapped in it. */
import { MEMORY } from "../../model/kernel/memory-map.ts";
import type { Call } from "../../model/program.ts";
import { DIRTY, DirtyPages, DmaMap, MAP } from "../../model/vfio/type1-layouts.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import type { Motif } from "./motifs.ts";
import { credentials, type Situation } from "./moves.ts";

type Make = (call: Call) => boolean;

const PAGE = 4096;
const V1 = 1;
const V2 = 3;

/** A container with a group of each device; gives its handle. */
function container({ handles }: Situation, make: Make, devices: readonly string[]): string {
  const fd = handles.fresh("container");
  make({ op: "open", node: { kind: "container" }, as: fd });
  for (const device of devices) join({ handles }, make, fd, device);
  return fd;
}

function join({ handles }: Pick<Situation, "handles">, make: Make, fd: string, device: string): void {
  const group = handles.fresh("group");
  make({ op: "open", node: { kind: "group", device }, as: group });
  make({
    op: "ioctl",
    fd: group,
    request: "VFIO_GROUP_SET_CONTAINER",
    arg: { kind: "struct", struct: { fields: { fd } } },
  });
}

function setIommu(make: Make, fd: string, type: number): void {
  make({ op: "ioctl", fd, request: "VFIO_SET_IOMMU", arg: { kind: "value", value: type } });
}

function map(make: Make, fd: string, iova: number, pages: number, flags: number = MAP.READ | MAP.WRITE): void {
  const fields = { argsz: DmaMap.size, flags, vaddr: MEMORY.user, iova, size: pages * PAGE };
  make({ op: "ioctl", fd, request: "VFIO_IOMMU_MAP_DMA", arg: { kind: "struct", struct: { fields } } });
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
  for (let n = on.dice.roll(4); n > 0; n--) map(make, fd, n * 4 * PAGE, pick(on.dice, [1, 2, 4]));
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
  for (let n = 0; n <= dmaEntryLimit && n < 12; n++) map(make, fd, 2 * n * PAGE, 1);
};

/** Mappings of an emulated device alone, then a device behind an IOMMU joins. */
const joined: Motif = (on, make) => {
  const { mdevs, topology } = on.machine.k;
  const emulated = mdevs.find(({ name }) => on.focus.devices.includes(name));
  const functions = topology.functions.filter(({ name }) => on.focus.devices.includes(name));
  if (!emulated || functions.length === 0) return mapped(on, make);
  const fd = container(on, make, [emulated.name]);
  setIommu(make, fd, oneIn(on.dice, 4) ? V1 : V2);
  for (let n = on.dice.roll(4); n > 0; n--) map(make, fd, n * 4 * PAGE, pick(on.dice, [1, 2, 4]));
  if (oneIn(on.dice, 2)) startLogging(make, fd);
  join(on, make, fd, pick(on.dice, functions).name);
};

function startLogging(make: Make, fd: string): void {
  const fields = { argsz: DirtyPages.size, flags: DIRTY.START };
  make({ op: "ioctl", fd, request: "VFIO_IOMMU_DIRTY_PAGES", arg: { kind: "struct", struct: { fields } } });
}

/** Dirty pages are logged. */
const logged: Motif = (on, make) => {
  const fd = container(on, make, some(on.dice, on.focus.devices));
  setIommu(make, fd, V2);
  map(make, fd, 0, 2);
  startLogging(make, fd);
  map(make, fd, 8 * PAGE, 3);
};

export const TYPE1_MOTIFS: readonly Motif[] = [mapped, mapped, limited, full, joined, joined, logged];
