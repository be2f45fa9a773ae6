/** Openings of programs about memory that a device copies by itself: memory is mapped, filled, and copied. */
import { ioctl } from "../../model/ioctl-calls.ts";
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import { hardwareOf } from "../../model/pci/hardware.ts";
import { PCI_REGION, REGION_SIZE } from "../../model/vfio/device-info.ts";
import { DmaMap, DmaUnmap, MAP } from "../../model/vfio/type1-layouts.ts";
import { oneIn, pick } from "./dice.ts";
import { copyMove, ownMemory } from "./dma-moves.ts";
import { allocIoas, attach, getDevice, type Make, open, openBound, setContainer, setIommu } from "./motif-calls.ts";
import type { Motif } from "./motifs.ts";
import type { Situation } from "./moves.ts";

const COMMAND = PCI_REGION.CONFIG * REGION_SIZE + 4;
const MASTER = 7;
const FIXED = 1;
const IOAS_ACCESS: readonly (readonly [type1: number, ioas: number])[] = [
  [MAP.READ | MAP.WRITE, 6],
  [MAP.READ | MAP.WRITE, 6],
  [MAP.READ, 4],
  [MAP.WRITE, 2],
];

/** A device that copies, open: how memory is mapped for it, and taken away. */
interface Copier {
  readonly fd: string;
  map(page: number, pages: number, from: bigint, access: readonly [number, number]): void;
  unmap(page: number, pages: number): void;
}

function copierOf({ machine }: Situation): string {
  const known = machine.k.functions.find(({ spec }) => hardwareOf(spec) !== null);
  if (!known) throw new Error("no function of the machine copies memory");
  return known.spec.name;
}

function inContainer(on: Situation, make: Make): Copier {
  const name = copierOf(on);
  const container = open(on, make, { kind: "container" });
  const group = open(on, make, { kind: "group", device: name });
  setContainer(make, group, container);
  setIommu(make, container, oneIn(on.dice, 4) ? 1 : 3);
  const fd = getDevice(on, make, group, name);
  return {
    fd,
    map(page, pages, vaddr, [flags]) {
      const fields = { argsz: DmaMap.size, flags, vaddr, iova: page * PAGE, size: pages * PAGE };
      make(ioctl(container, "VFIO_IOMMU_MAP_DMA", fields));
    },
    unmap(page, pages) {
      make(ioctl(container, "VFIO_IOMMU_UNMAP_DMA", { argsz: DmaUnmap.size, iova: page * PAGE, size: pages * PAGE }));
    },
  };
}

/** With a second IOAS that nothing is mapped in, so that programs can attach it elsewhere. */
function inIoas(on: Situation, make: Make): Copier {
  const iommufd = open(on, make, { kind: "iommufd" });
  const ioas_id = allocIoas(on, make, iommufd);
  const { file: fd } = openBound(on, make, iommufd, copierOf(on));
  if (!oneIn(on.dice, 8)) attach(on, make, fd, ioas_id);
  if (oneIn(on.dice, 3)) allocIoas(on, make, iommufd);
  return {
    fd,
    map(page, pages, user_va, [, access]) {
      const fields = { size: 40, flags: FIXED | access, ioas_id, user_va, length: pages * PAGE, iova: page * PAGE };
      make(ioctl(iommufd, "IOMMU_IOAS_MAP", fields, { binds: { iova: on.handles.fresh("iova") } }));
    },
    unmap(page, pages) {
      make(ioctl(iommufd, "IOMMU_IOAS_UNMAP", { size: 24, ioas_id, iova: page * PAGE, length: pages * PAGE }));
    },
  };
}

function copier(on: Situation, make: Make): Copier {
  const { k } = on.machine;
  if (!k.has("VFIO_GROUP") || !k.has("VFIO_CONTAINER")) return inIoas(on, make);
  if (!k.has("VFIO_DEVICE_CDEV") || oneIn(on.dice, 2)) return inContainer(on, make);
  return inIoas(on, make);
}

/** Maps some of the process's memory in the first pages. */
function mapSome({ dice }: Situation, { map }: Copier): void {
  for (let left = 1 + dice.roll(3); left > 0; left--) {
    const readonly = oneIn(dice, 10);
    const from = readonly ? MEMORY.userReadonly : MEMORY.user + BigInt(dice.roll(6) * PAGE);
    map(dice.roll(6), 1 + dice.roll(2), from, readonly ? [MAP.READ, 4] : pick(dice, IOAS_ACCESS));
  }
}

function copy({ dice }: Situation, make: Make, fd: string, toMemory: boolean): void {
  const { at: offset, count, bytes } = copyMove(dice, toMemory);
  make({ op: "pwrite", fd, count, offset, ...(bytes ? { bytes } : {}) });
}

/** Memory is mapped, filled, read by the device and written to again; mostly some of it is taken away before that. */
const copied: Motif = (on, make) => {
  const { dice } = on;
  const device = copier(on, make);
  if (!oneIn(dice, 8)) make({ op: "pwrite", fd: device.fd, count: 1, offset: COMMAND, bytes: [MASTER] });
  mapSome(on, device);
  for (let left = 1 + dice.roll(3); left > 0; left--) make(ownMemory(dice));
  copy(on, make, device.fd, false);
  if (oneIn(dice, 3)) device.unmap(dice.roll(4), 1 + dice.roll(2));
  if (oneIn(dice, 3)) mapSome(on, device);
  copy(on, make, device.fd, true);
  for (let left = 1 + dice.roll(3); left > 0; left--) make(ownMemory(dice));
};

export const DMA_MOTIFS: readonly Motif[] = [copied];
