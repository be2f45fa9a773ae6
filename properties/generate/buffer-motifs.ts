/** Openings of programs about buffers of functions: a buffer is made, mostly mapped, and memory stops to answer, or goes on. */
import { ioctl } from "../../model/ioctl-calls.ts";
import { PAGE } from "../../model/kernel/memory-map.ts";
import { FEATURE, FEATURE_INDEX } from "../../model/vfio/feature.ts";
import { bufferFields, memoryMove } from "./buffer-arguments.ts";
import { oneIn, pick } from "./dice.ts";
import { allocIoas, attach, type Make, makeEventfd, mapFile, open, openBound } from "./motif-calls.ts";
import { type Motif, openDevice } from "./motifs.ts";
import type { Situation } from "./moves.ts";

/** A buffer of a function, by the function's name and file. */
function makeBuffer(on: Situation, make: Make, fd: string, name: string): string {
  const as = on.handles.fresh("dma-buf");
  const pciFunction = on.machine.k.functions.find(({ spec }) => spec.name === name);
  if (pciFunction) make(ioctl(fd, "VFIO_DEVICE_FEATURE_DMA_BUF", bufferFields(on.dice, pciFunction), { as }));
  return as;
}

function moveMemory(on: Situation, make: Make, fd: string, name: string): void {
  const pciFunction = on.machine.k.functions.find(({ spec }) => spec.name === name);
  if (pciFunction) make({ op: "pwrite", fd, ...memoryMove(on.dice, pciFunction) });
}

/** Maps a page of a buffer, or two, at an address of all functions. */
function mapPages(on: Situation, make: Make, iommufd: string, ioas_id: string, fd: string): void {
  const { dice } = on;
  const flags = oneIn(dice, 3) ? { flags: 6 } : {};
  mapFile(on, make, iommufd, { ioas_id, fd, length: (1 + dice.roll(2)) * PAGE, iova: dice.roll(16) * PAGE, ...flags });
}

/** Open in any way, with a buffer. */
const opened: Motif = (on, make) => {
  const name = pick(on.dice, on.focus.devices);
  makeBuffer(on, make, openDevice(on, make, name), name);
};

/** A function has a buffer of its own mapped, before it is attached or after; then its memory stops to answer, or goes on. */
const own: Motif = (on, make) => {
  const { dice, focus, machine } = on;
  if (!machine.k.has("VFIO_DEVICE_CDEV")) return opened(on, make);
  const name = pick(dice, focus.devices);
  const iommufd = open(on, make, { kind: "iommufd" });
  const { file } = openBound(on, make, iommufd, name);
  const ioas = allocIoas(on, make, iommufd);
  if (oneIn(dice, 2)) attach(on, make, file, ioas);
  const buffer = makeBuffer(on, make, file, name);
  mapPages(on, make, iommufd, ioas, buffer);
  if (oneIn(dice, 3)) attach(on, make, file, ioas);
  if (oneIn(dice, 3)) return;
  moveMemory(on, make, file, name);
  if (oneIn(dice, 2)) mapPages(on, make, iommufd, ioas, buffer);
};

/** One function reaches another's memory, whose user lets it sleep, has it reset or closes it. */
const peer: Motif = (on, make) => {
  const { dice, focus, machine } = on;
  if (!machine.k.has("VFIO_DEVICE_CDEV")) return opened(on, make);
  const [name, other] = [pick(dice, focus.devices), pick(dice, focus.devices)];
  if (name === other) return own(on, make);
  const iommufd = open(on, make, { kind: "iommufd" });
  const { file: user } = openBound(on, make, iommufd, name);
  const ioas = allocIoas(on, make, iommufd);
  attach(on, make, user, ioas);
  const { file: lender } = openBound(on, make, oneIn(dice, 2) ? iommufd : open(on, make, { kind: "iommufd" }), other);
  const buffer = makeBuffer(on, make, lender, other);
  mapPages(on, make, iommufd, ioas, buffer);
  switch (dice.roll(4)) {
    case 0: {
      const flags = FEATURE.SET | FEATURE_INDEX.LOW_POWER_ENTRY;
      make(ioctl(lender, "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY", { argsz: 8, flags }));
      break;
    }
    case 1:
      make({ op: "close", fd: lender });
      break;
    case 2:
      make(ioctl(lender, "VFIO_DEVICE_PCI_HOT_RESET", { argsz: 12 }));
      break;
    default:
      moveMemory(on, make, lender, other);
  }
  mapPages(on, make, iommufd, ioas, buffer);
};

/** A function sleeps until a call wakes it up, which ends low power; its buffer is mapped then. */
const woken: Motif = (on, make) => {
  const { dice, focus, machine } = on;
  if (!machine.k.has("VFIO_DEVICE_CDEV")) return opened(on, make);
  const name = pick(dice, focus.devices);
  const iommufd = open(on, make, { kind: "iommufd" });
  const { file } = openBound(on, make, iommufd, name);
  const ioas = allocIoas(on, make, iommufd);
  const buffer = makeBuffer(on, make, file, name);
  const wakeup_eventfd = makeEventfd(on, make);
  const flags = FEATURE.SET | FEATURE_INDEX.LOW_POWER_ENTRY_WITH_WAKEUP;
  make(ioctl(file, "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP", { argsz: 16, flags, wakeup_eventfd }));
  make({ op: "probe", probe: { kind: "asleep", device: name } });
  if (oneIn(dice, 3)) moveMemory(on, make, file, name);
  else make(ioctl(file, "VFIO_DEVICE_GET_INFO", { argsz: 16 }));
  mapPages(on, make, iommufd, ioas, buffer);
};

export const BUFFER_MOTIFS: readonly Motif[] = [opened, own, own, own, peer, peer, woken];
