/** Reads, writes and mappings of functions whose drivers have regions of their own, and of the streams of those that migrate. */

import type { Kernel } from "../../model/kernel/kernel.ts";
import { PAGE } from "../../model/kernel/memory-map.ts";
import type { Call, Place } from "../../model/program.ts";
import { PCI_REGION, REGION_FLAGS, type RegionDescription } from "../../model/vfio/device-info.ts";
import type { VfioPciCoreDevice } from "../../model/vfio-pci/core-device.ts";
import type { DriverDataFile } from "../../model/vfio-pci/drivers/data-file.ts";
import { record } from "../../model/vfio-pci/drivers/records.ts";
import { inFunction, type RegionMove } from "./config-transfers.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import type { Handles } from "./handles.ts";

const CAP_SPARSE_MMAP = 1;

/** Regions that there is something in, without the configuration space. */
function regionsOf(k: Kernel, core: VfioPciCoreDevice): RegionDescription[] {
  const count = PCI_REGION.COUNT + core.function.regions.length;
  return Array.from({ length: count }, (_, index) => index)
    .filter((index) => index !== PCI_REGION.CONFIG && index !== PCI_REGION.VGA)
    .map((index) => core.region(k, index))
    .filter(({ size }) => size > 0);
}

/** How much of a region can be mapped, in bytes. */
function mappable({ size, flags, capabilities }: RegionDescription): number {
  if ((flags & REGION_FLAGS.MMAP) === 0) return 0;
  const area = capabilities.find(({ id }) => id === CAP_SPARSE_MMAP)?.words;
  return area ? (area[4] ?? 0) + (area[5] ?? 0) * 2 ** 32 : size;
}

/** Registers that drivers answer for: BARs, identity and command, and where firmware leaves an address. */
const ANSWERED = [0x00, 0x04, 0x08, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x2c, 0xfc] as const;

/** One access of a function whose driver may answer for it. */
export function inDriven(k: Kernel, dice: Dice, core: VfioPciCoreDevice): RegionMove {
  if (oneIn(dice, 3)) return inFunction(dice, core.function);
  if (oneIn(dice, 3)) {
    const at = pick(dice, ANSWERED);
    const move = { offset: PCI_REGION.CONFIG * 2 ** 40 + at, count: pick(dice, [4, 2, 1, 8, 16, 64]) };
    if (oneIn(dice, 2)) return move;
    // Command registers are mostly told to let the function answer.
    if (at === 0x04 && !oneIn(dice, 4)) return { ...move, count: 2, bytes: [pick(dice, [7, 3, 1, 6, 0]), 0] };
    return { ...move, bytes: Array.from({ length: move.count }, () => pick(dice, [0xff, 0, dice.roll(256)])) };
  }
  const regions = regionsOf(k, core);
  if (regions.length === 0) return inFunction(dice, core.function);
  const region = pick(dice, regions);
  const { size, offset } = region;
  const edge = oneIn(dice, 2) ? size : mappable(region) || size;
  const at = pick(dice, [
    0,
    4,
    16,
    18,
    20,
    0x16,
    0x17,
    0x3ba,
    dice.roll(32),
    edge - 4,
    edge - 1,
    edge - 2,
    edge,
    edge + 4,
  ]);
  const count = pick(dice, [4, 1, 2, 4, 8, 16, 0]);
  const move = { offset: offset + Math.max(0, at), count };
  return oneIn(dice, 2) ? move : { ...move, bytes: Array.from({ length: count }, () => dice.roll(256)) };
}

/** A mapping of one of its regions: at its begin, at its end, and over that. */
export function mapDriven(k: Kernel, dice: Dice, fd: string | -1, core: VfioPciCoreDevice): Call {
  const regions = regionsOf(k, core);
  const region = regions.length > 0 ? pick(dice, regions) : undefined;
  const room = region ? mappable(region) || region.size : PAGE;
  const at = pick(dice, [0, 0, room - PAGE, room, Math.max(0, (region?.size ?? 0) - PAGE)]);
  return {
    op: "mmap",
    fd,
    length: pick(dice, [PAGE, PAGE, 2 * PAGE, room, 1]),
    prot: 1 + dice.roll(3),
    offset: (region?.offset ?? 0) + Math.max(0, at - (at % PAGE)),
  };
}

/** A session's stream: saved in pieces, and what was saved or is made up written in pieces. */
export function ofDriverSession(
  k: Kernel,
  dice: Dice,
  handles: Handles,
  fd: string | -1,
  file: DriverDataFile,
  place: Place | undefined,
): Call {
  if (oneIn(dice, 24)) return { op: "pread", fd, count: 8, offset: 0 };
  const saving = file.incoming === null;
  if (oneIn(dice, 12) ? !saving : saving) {
    const count = pick(dice, [256, 24, 40, 16, 8, 1, 0]);
    return place === undefined
      ? { op: "read", fd, count, into: handles.fresh("data") }
      : { op: "read", fd, count, place };
  }
  const stream = [...handles.data].reverse().find(() => oneIn(dice, 2));
  if (stream && place === undefined && !oneIn(dice, 3)) {
    return { op: "write", fd, count: oneIn(dice, 8) ? stream.length + 1 : stream.length, from: stream.handle };
  }
  const bytes = madeUp(k, dice, file);
  const count = pick(dice, [bytes.length, bytes.length, 24, 40, 8, 1, bytes.length + 1, 200]);
  return { op: "write", fd, count, bytes, ...(place === undefined ? {} : { place }) };
}

/** What such a device might have saved, from where the session is on; at times of another device, or of another kind. */
function madeUp(k: Kernel, dice: Dice, { migration, position }: DriverDataFile): number[] {
  switch (dice.roll(8)) {
    case 0:
      return [...record(2 + dice.roll(3), Uint8Array.of(1, 2, 3, 4), oneIn(dice, 2))];
    case 1:
      return [0, 0, 0, 0, dice.roll(3), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    default: {
      const bytes = [...migration.stopped(k, false)].slice(position);
      if (bytes.length > 0 && oneIn(dice, 3)) bytes[dice.roll(Math.min(20, bytes.length))] = dice.roll(256);
      return bytes;
    }
  }
}
