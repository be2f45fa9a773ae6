/** Reads, writes and mappings, each kind of file with what makes sense there. */

import { DmaBufFile } from "../../model/dma-buf.ts";
import { EventFile } from "../../model/eventfd.ts";
import { FaultQueueFile } from "../../model/iommufd/fault-queue.ts";
import { VeventQueueFile } from "../../model/iommufd/vevent-queue.ts";
import type { File } from "../../model/kernel/file.ts";
import type { Kernel } from "../../model/kernel/kernel.ts";
import { PAGE } from "../../model/kernel/memory-map.ts";
import { QueueFile } from "../../model/mdev/idxd/queue-file.ts";
import { VirtualDsa } from "../../model/mdev/idxd/virtual-device.ts";
import { MdpyDisplay } from "../../model/mdev/mdpy.ts";
import { MttyCard } from "../../model/mdev/mtty.ts";
import { headerOf, MttyDataFile } from "../../model/mdev/mtty-session.ts";
import { PORT_STATE_SIZE } from "../../model/mdev/mtty-uart.ts";
import { MemfdFile } from "../../model/memfd.ts";
import type { PciFunction } from "../../model/pci/function.ts";
import type { Call, Place } from "../../model/program.ts";
import { DeviceFile } from "../../model/vfio/device.ts";
import { REGION_SIZE } from "../../model/vfio/device-info.ts";
import type { VfioPciCoreDevice } from "../../model/vfio-pci/core-device.ts";
import { DriverDataFile } from "../../model/vfio-pci/drivers/data-file.ts";
import { inBar } from "./bar-transfers.ts";
import { memoryMove } from "./buffer-arguments.ts";
import { inFunction } from "./config-transfers.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import { inDriven, mapDriven, ofDriverSession } from "./driver-transfers.ts";
import type { Handles } from "./handles.ts";
import { inVirtualDsa, mapsPortal } from "./idxd-transfers.ts";
import { accessMapping, mapRegion } from "./mapping-moves.ts";
import { ofProcessQueue } from "./process-queues.ts";

/** A place and what is moved there: by pread and pwrite, or by read and write where there is no offset. */
interface Move {
  readonly offset?: number;
  readonly count: number;
  readonly bytes?: readonly number[];
}

const CONFIG = 7;

/** A read, a write or a mapping of some open file; of one in a dozen that is not open. */
export function transfer(dice: Dice, handles: Handles): Call | undefined {
  if (handles.files.length === 0) return undefined;
  if (handles.memory.length > 0 && oneIn(dice, 2)) return accessMapping(dice, handles);
  // What is read of nodes and of devices that are not open says little of a driver.
  const driven = handles.files.filter(({ file }) => file instanceof DriverDataFile || drivenBy(file) !== null);
  const entry = pick(dice, driven.length > 0 && !oneIn(dice, 6) ? driven : handles.files);
  const fd = oneIn(dice, 12) ? -1 : entry.handle;
  if (oneIn(dice, 8)) return { op: "poll", fd };
  if (entry.file instanceof DmaBufFile && oneIn(dice, 3)) {
    return { op: "lseek", fd: entry.handle, offset: oneIn(dice, 6) ? PAGE : 0, whence: pick(dice, [2, 2, 0, 1, 3]) };
  }
  // What a queue has is there for a moment only: what happens where it can't be told must be met then.
  const isQueue = entry.file instanceof VeventQueueFile || entry.file instanceof FaultQueueFile;
  const place = oneIn(dice, isQueue ? 5 : 10)
    ? pick<Place>(dice, ["null", "unmapped", "readonly", 0, 1, 3, 9])
    : undefined;
  if (entry.file instanceof MttyDataFile) return ofSession(dice, handles, fd, entry.file, place);
  if (entry.file instanceof DriverDataFile) return ofDriverSession(handles.k, dice, handles, fd, entry.file, place);
  if (entry.file instanceof VeventQueueFile) return ofVevents(dice, fd, place);
  if (entry.file instanceof FaultQueueFile) return ofFaults(dice, fd, place);
  if (entry.file instanceof EventFile) return ofEvents(dice, fd, place);
  if (entry.file instanceof QueueFile && !oneIn(dice, 8)) return ofProcessQueue(dice, fd, place);
  if (oneIn(dice, 8)) return mapping(dice, handles, fd, entry.file);
  if (entry.file instanceof MemfdFile) return ofMemory(dice, fd, entry.file, place);
  return ofDevice(handles.k, dice, fd, entry.file, place);
}

/** The device of a function that has traits, where the file gives access to one. */
function drivenBy(file: File): VfioPciCoreDevice | null {
  if (!(file instanceof DeviceFile) || !file.accessGranted || file.device.backing.kind !== "pci") return null;
  const { spec, core } = file.device.backing.function;
  return spec.traits ? core : null;
}

function ofDevice(k: Kernel, dice: Dice, fd: string | -1, file: File, place: Place | undefined): Call {
  const driven = drivenBy(file);
  const ops = file instanceof DeviceFile && file.accessGranted ? file.device.ops : null;
  const backing = file instanceof DeviceFile && file.accessGranted ? file.device.backing : null;
  const move =
    ops instanceof MttyCard
      ? inCard(dice)
      : ops instanceof MdpyDisplay
        ? inDisplay(dice, ops)
        : driven
          ? inDriven(k, dice, driven)
          : backing?.kind === "pci"
            ? ofFunction(dice, backing.function)
            : ops instanceof VirtualDsa && file instanceof DeviceFile
              ? inVirtualDsa(dice, file.device, ops)
              : anywhere(dice);
  const { offset = 0, count, bytes } = move;
  const where = place === undefined ? {} : { place };
  const plain = oneIn(dice, 8);
  if (bytes === undefined) {
    return plain ? { op: "read", fd, count, ...where } : { op: "pread", fd, count, offset, ...where };
  }
  const content = { ...where, ...(bytes.length > 0 ? { bytes } : {}) };
  return plain ? { op: "write", fd, count, ...content } : { op: "pwrite", fd, count, offset, ...content };
}

/** Configuration space mostly; of what the suite knows mostly what is behind its BARs. */
function ofFunction(dice: Dice, pciFunction: PciFunction): Move {
  if (pciFunction.buffers.size > 0 && oneIn(dice, 3)) return memoryMove(dice, pciFunction);
  const bars = pciFunction.hardware || pciFunction.rom ? !oneIn(dice, 3) : oneIn(dice, 8);
  return bars ? inBar(dice, pciFunction) : inFunction(dice, pciFunction);
}

/** Of files that have no regions, or devices that are not open yet. */
function anywhere(dice: Dice): Move {
  const move = { count: pick(dice, [4, 1, 0, 64]), offset: pick(dice, [0, PAGE, -1]) };
  return oneIn(dice, 2) ? move : { ...move, bytes: [] };
}

/** Bytes worth writing to registers: what turns features on and off. */
const REGISTER_BYTES: readonly (readonly number[])[] = [
  [0x41, 0x42, 0x00, 0xff],
  [0x00, 0x01, 0x02, 0x04, 0x08, 0x0f, 0xff],
  [0x00, 0x01, 0x07, 0xc1],
  [0x03, 0x83, 0x00],
  [0x00, 0x0b, 0x20, 0x08, 0x02],
  [0xff],
  [0xff],
  [0x5a],
];

function inCard(dice: Dice): Move {
  if (oneIn(dice, 4)) {
    return inConfig(
      dice,
      CONFIG * REGION_SIZE,
      [0x10, 0x14, 0x18, 0x3c, 0x04, 0x00, 0x2c, 0x40, 0x60, 0x3d, 0xfc, 0xfe],
    );
  }
  if (oneIn(dice, 12)) {
    const region = pick(dice, [0, 1, 6, 8, 9, 2 ** 20]);
    const move = {
      offset: region * REGION_SIZE + pick(dice, [0, 5, 6, 7, 8, 0x100]),
      count: pick(dice, [1, 4, 2, 8, 0]),
    };
    return oneIn(dice, 2) ? move : { ...move, bytes: [0x41] };
  }
  const port = oneIn(dice, 4) ? 1 : 0;
  const register = oneIn(dice, 3) ? 0 : dice.roll(8);
  const offset = port * REGION_SIZE + register;
  if (oneIn(dice, 2)) return { offset, count: oneIn(dice, 8) ? pick(dice, [2, 4, 8 - register]) : 1 };
  // A fifth of what is sent comes in bulk, so that FIFOs get full: a byte at a time, for only the first of more counts.
  const bytes = [pick(dice, REGISTER_BYTES[register] ?? [0])];
  return { offset, count: oneIn(dice, 12) ? 2 : 1, bytes };
}

/** Registers of the configuration space: BARs are only written whole. */
function inConfig(dice: Dice, begin: number, offsets: readonly number[]): Move {
  const at = pick(dice, offsets);
  const offset = begin + at;
  if (oneIn(dice, 2)) return { offset, count: Math.min(pick(dice, [4, 1, 2, 16]), 0xff - at) };
  const ones = oneIn(dice, 2);
  return {
    offset,
    count: Math.min(4, 0xff - at),
    bytes: ones ? [255, 255, 255, 255] : [dice.roll(256), 0x10, 0, 0xfe],
  };
}

function inDisplay(dice: Dice, { width, height, memory }: MdpyDisplay): Move {
  if (oneIn(dice, 3)) return inConfig(dice, 0, [0x10, 0x00, 0x04, 0x2c, 0x34, 0x40, 0x44, 0x48, 0xfc, 0xfe]);
  const row = 4 * width;
  const at = pick(dice, [0, 4, 1, row, 17 * row + 2, (height - 1) * row, height * row, memory - 4, memory - 1, memory]);
  const offset = PAGE + at;
  const count = pick(dice, [4, 1, 2, 8, 16]);
  return oneIn(dice, 2)
    ? { offset, count }
    : { offset, count, bytes: Array.from({ length: count }, () => dice.roll(256)) };
}

function mapping(dice: Dice, handles: Handles, fd: string | -1, file: File): Call {
  const driven = drivenBy(file);
  if (driven) return mapDriven(handles.k, dice, fd, driven);
  if (file instanceof DeviceFile && file.device.backing.kind === "pci") {
    return mapRegion(dice, handles, fd, file.device.backing.function);
  }
  if (file instanceof DeviceFile && file.device.ops instanceof VirtualDsa) return mapsPortal(dice, fd);
  const display = file instanceof DeviceFile && file.device.ops instanceof MdpyDisplay ? file.device.ops : null;
  return {
    op: "mmap",
    fd,
    length: pick(dice, display ? [PAGE, display.memory, display.memory + PAGE, 0, 1] : [PAGE, 2 * PAGE, 0]),
    prot: 1 + dice.roll(3),
    offset: display ? pick(dice, [PAGE, PAGE, PAGE, 0, 2 * PAGE, 1]) : pick(dice, [0, 0, 0, PAGE, 1]),
  };
}

/** A session's stream: saved in pieces, and what was saved or is made up written in pieces. */
function ofSession(
  dice: Dice,
  handles: Handles,
  fd: string | -1,
  { saving, card, position }: MttyDataFile,
  place: Place | undefined,
): Call {
  if (oneIn(dice, 24)) return { op: "pread", fd, count: 8, offset: 0 };
  if (oneIn(dice, 12) ? !saving : saving) {
    const count = pick(dice, [256, 24, 60, 96, 36, 8, 1, 0]);
    return place === undefined
      ? { op: "read", fd, count, into: handles.fresh("data") }
      : { op: "read", fd, count, place };
  }
  const stream = [...handles.data].reverse().find(() => oneIn(dice, 2));
  if (stream && place === undefined && !oneIn(dice, 4)) {
    return { op: "write", fd, count: oneIn(dice, 8) ? stream.length + 1 : stream.length, from: stream.handle };
  }
  const bytes = madeUp(dice, card.portCount).slice(position);
  const count = pick(dice, [bytes.length, bytes.length, 24, 8, 1, bytes.length + 1]);
  return { op: "write", fd, count, bytes, ...(place === undefined ? {} : { place }) };
}

/** A stream that a card might have saved; one in four is of another kind of card. */
function madeUp(dice: Dice, ports: number): number[] {
  const header = [...headerOf(oneIn(dice, 8) ? 3 - ports : ports)];
  if (oneIn(dice, 8)) header[dice.roll(header.length)] = dice.roll(256);
  const bytes = Array.from({ length: ports * PORT_STATE_SIZE }, () => 0);
  for (let port = 0; port < ports; port++) {
    const at = port * PORT_STATE_SIZE;
    bytes[at + 1] = dice.roll(16);
    bytes[at + 7] = dice.roll(256);
    bytes[at + 8] = 0x41;
    bytes[at + 24] = 1;
    bytes[at + 26] = 1;
    bytes[at + 33] = 16;
    if (oneIn(dice, 12)) bytes[at + 24 + dice.roll(4)] = dice.roll(256);
  }
  return [...header, ...bytes];
}

/** Events that are read: with room for some, for a header only, or for less; and a write, which there is none of. */
function ofVevents(dice: Dice, fd: string | -1, place: Place | undefined): Call {
  if (oneIn(dice, 12)) return { op: "write", fd, count: 12, bytes: [] };
  const count = pick(dice, [12, 24, 36, 64, 20, 8, 7, 0]);
  return place === undefined ? { op: "read", fd, count } : { op: "read", fd, count, place };
}

/** Faults that are read, and answered by their cookies, which are the lowest that are free. */
function ofFaults(dice: Dice, fd: string | -1, place: Place | undefined): Call {
  const where = place === undefined ? {} : { place };
  if (oneIn(dice, 16)) return { op: "pread", fd, count: 40, offset: 0 };
  if (oneIn(dice, 2)) return { op: "read", fd, count: pick(dice, [40, 80, 240, 0, 8]), ...where };
  const bytes: number[] = [];
  for (let left = 1 + dice.roll(2); left > 0; left--) {
    bytes.push(1 + dice.roll(3), 0, 0, 0, oneIn(dice, 12) ? 2 : dice.roll(2), 0, 0, 0);
  }
  return { op: "write", fd, count: oneIn(dice, 12) ? 4 : bytes.length, bytes, ...where };
}

/** Memory in a file: at its ends and over the edge of a page, and a little further than it goes. */
function ofMemory(dice: Dice, fd: string | -1, { size }: MemfdFile, place: Place | undefined): Call {
  const where = place === undefined ? {} : { place };
  const count = pick(dice, [8, 32, 256, 1, 0]);
  const offset = Math.min(pick(dice, [0, 0, 0, 8, PAGE - 4, PAGE, size]), size);
  if (oneIn(dice, 4)) return { op: "read", fd, count, ...where };
  if (oneIn(dice, 2)) return { op: "pread", fd, count, offset, ...where };
  const bytes = [1 + dice.roll(255), 0x22, 0x33, 0x44];
  if (oneIn(dice, 4)) return { op: "write", fd, count, bytes, ...where };
  return { op: "pwrite", fd, count, offset, bytes, ...where };
}

function ofEvents(dice: Dice, fd: string | -1, place: Place | undefined): Call {
  const where = place === undefined ? {} : { place };
  const count = oneIn(dice, 8) ? pick(dice, [0, 4, 7, 9, 16]) : 8;
  if (oneIn(dice, 16)) return { op: "pread", fd, count, offset: 0 };
  if (!oneIn(dice, 4)) return { op: "read", fd, count, ...where };
  return { op: "write", fd, count, bytes: oneIn(dice, 8) ? Array(8).fill(255) : [1 + dice.roll(3)], ...where };
}
