/** Accesses to a function's configuration space: mostly registers that mean something, at their widths and across them. */

import type { PciFunction } from "../../model/pci/function.ts";
import { REGION_SIZE } from "../../model/vfio/device-info.ts";
import { layoutOf, type Region } from "../../model/vfio-pci/config-layout.ts";
import { EXPRESS, MSI, PM } from "../../model/vfio-pci/config-perms.ts";
import { type Dice, oneIn, pick } from "./dice.ts";

/** A place in the device's file, and what is moved there: read, or written where there are bytes. */
export interface RegionMove {
  readonly offset: number;
  readonly count: number;
  readonly bytes?: readonly number[];
}

const CONFIG = 7 * REGION_SIZE;
/** Ids, command, status, cache line, BARs, ROM, capabilities, interrupts. */
const HEADER = [
  0x04, 0x04, 0x10, 0x10, 0x14, 0x18, 0x1c, 0x24, 0x30, 0x3c, 0x3d, 0x05, 0x06, 0x0c, 0x0e, 0x00, 0x2c, 0x34,
];
const WIDTHS = [4, 1, 2, 4, 1, 2, 3, 8, 16] as const;

/** One access of a function's device, nearly always of configuration space. */
export function inFunction(dice: Dice, { spec }: PciFunction): RegionMove {
  if (oneIn(dice, 24)) return elsewhere(dice, spec.bars[0]?.size ?? 0);
  const { regions } = layoutOf(spec, true);
  const at = place(dice, regions);
  const count = oneIn(dice, 40) ? 0 : pick(dice, WIDTHS);
  const move = { offset: CONFIG + at, count };
  if (oneIn(dice, 24)) return { ...move, count: pick(dice, [64, 256]) };
  return oneIn(dice, 2) ? move : { ...move, bytes: value(dice, regions[at] ?? null, at, count) };
}

/** Regions that are none, ranges that the function has not, the ROM, and behind a BAR's end. */
function elsewhere(dice: Dice, barSize: number): RegionMove {
  const offset = pick(dice, [
    9 * REGION_SIZE,
    2 ** 20 * REGION_SIZE,
    8 * REGION_SIZE,
    6 * REGION_SIZE,
    5 * REGION_SIZE,
    barSize,
    barSize + 4,
  ]);
  const move = { offset, count: pick(dice, [4, 1, 0]) };
  return oneIn(dice, 2) ? move : { ...move, bytes: [1] };
}

function place(dice: Dice, regions: readonly (Region | null)[]): number {
  const size = regions.length;
  if (oneIn(dice, 3)) return pick(dice, HEADER);
  if (oneIn(dice, 12)) return pick(dice, [size, size - 1, size - 2, size - 4, size - 8, size + 4, 0x100, 0xfc]);
  if (oneIn(dice, 8)) return dice.roll(size);
  const capabilities = new Set(regions);
  const region = pick(dice, [...capabilities]);
  if (!region) return 0x40 + dice.roll(size - 0x40);
  switch (region.permissions.kind) {
    case "pm":
      return region.start + pick(dice, [PM.CONTROL, PM.CONTROL, PM.CONTROL, PM.CAPABILITIES, 0, 5]);
    case "msi":
      return region.start + pick(dice, [MSI.CONTROL, MSI.CONTROL, 0, 4, 8, 12, 1]);
    case "express":
      return region.start + pick(dice, [EXPRESS.CONTROL, EXPRESS.CONTROL, 9, 0, 4, 10, 0x10, 0x28]);
    default:
      return region.start + dice.roll(region.length);
  }
}

/** Nothing, all ones, one bit, anything; power states where they are written. */
function value(dice: Dice, region: Region | null, at: number, count: number): number[] {
  const bytes = Array.from({ length: count }, () => 0);
  if (region?.permissions.kind === "pm" && at === region.start + PM.CONTROL && count > 0 && !oneIn(dice, 4)) {
    return bytes.with(0, pick(dice, [3, 0, 3, 0, 1, 2]));
  }
  switch (dice.roll(4)) {
    case 0:
      return bytes;
    case 1:
      return bytes.fill(0xff);
    case 2:
      return count === 0 ? bytes : bytes.with(dice.roll(count), 1 << dice.roll(8));
    default:
      return bytes.map(() => dice.roll(256));
  }
}
