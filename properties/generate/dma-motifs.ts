/** Openings of programs about memory that a device copies by itself: memory is mapped, filled, and copied. */
import { ioctl } from "../../model/ioctl-calls.ts";
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import { copiesMemory } from "../../model/pci/hardware.ts";
import { DmaMap, DmaUnmap, MAP } from "../../model/vfio/type1-layouts.ts";
import { oneIn, pick } from "./dice.ts";
import { copyMove } from "./dma-moves.ts";
import {
  allocIoas,
  attach,
  ENABLES,
  getDevice,
  type Make,
  open,
  openBound,
  setContainer,
  setIommu,
  writeCommand,
} from "./motif-calls.ts";
import type { Motif } from "./motifs.ts";
import type { Situation } from "./moves.ts";

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
  const known = machine.k.functions.find(({ spec }) => copiesMemory(spec));
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

/** Pages that are mapped: from one on, and the page of the process's memory that is first. */
interface Mapped {
  readonly page: number;
  readonly pages: number;
  readonly from: number;
}

/** Maps some of the process's memory in the first pages; seldom what can't be written. */
function mapSome({ dice }: Situation, { map }: Copier): Mapped {
  const mapped = { page: dice.roll(6), pages: 1 + dice.roll(2), from: dice.roll(6) };
  const readonly = oneIn(dice, 10);
  const first = readonly ? MEMORY.userReadonly : MEMORY.user + BigInt(mapped.from * PAGE);
  map(mapped.page, mapped.pages, first, readonly ? [MAP.READ, 4] : pick(dice, IOAS_ACCESS));
  return mapped;
}

/** Has the device copy from a page that is mapped, or to one, and the process look at what lies there. */
function copy({ dice }: Situation, make: Make, fd: string, { page, pages, from }: Mapped, toMemory: boolean): void {
  const which = dice.roll(pages);
  if (!toMemory)
    make({ op: "store", at: MEMORY.user, offset: (from + which) * PAGE, width: 4, value: 1 + dice.roll(2 ** 24) });
  const { at: offset, count, bytes } = copyMove(dice, toMemory, page + which);
  make({ op: "pwrite", fd, count, offset, ...(bytes ? { bytes } : {}) });
  if (toMemory) make({ op: "load", at: MEMORY.user, offset: (from + which) * PAGE, width: 8 });
}

/** Memory is mapped, filled, read by the device and written to again; mostly some of it is taken away, and tried once more. */
const copied: Motif = (on, make) => {
  const { dice } = on;
  const device = copier(on, make);
  if (!oneIn(dice, 8)) writeCommand(make, device.fd, ENABLES.MASTER);
  const [source, target] = [mapSome(on, device), mapSome(on, device)];
  copy(on, make, device.fd, source, false);
  copy(on, make, device.fd, target, true);
  if (oneIn(dice, 4)) return;
  const gone = oneIn(dice, 2) ? source : target;
  device.unmap(gone.page, gone.pages);
  copy(on, make, device.fd, source, false);
  if (oneIn(dice, 3)) mapSome(on, device);
  copy(on, make, device.fd, target, true);
};

export const DMA_MOTIFS: readonly Motif[] = [copied];
