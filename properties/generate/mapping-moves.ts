/** Mappings of BARs: made, mostly where they can be, accessed, and ended. */
import { PAGE } from "../../model/kernel/memory-map.ts";
import type { PciFunction } from "../../model/pci/function.ts";
import type { AccessWidth, Call } from "../../model/program.ts";
import { REGION_SIZE } from "../../model/vfio/device-info.ts";
import { registerMove } from "./bar-transfers.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import type { Handles } from "./handles.ts";

const READ_WRITE = 3;
const WIDTHS: readonly AccessWidth[] = [4, 4, 8, 1, 2];

/** Maps a region of a function, most often a part of a BAR that can be. */
export function mapRegion(dice: Dice, handles: Handles, fd: string | -1, { spec }: PciFunction): Call {
  const mappable = spec.bars.flatMap((bar, index) => (bar?.mappable && index < 6 ? [index] : []));
  const index = mappable.length === 0 || oneIn(dice, 6) ? dice.roll(10) : pick(dice, mappable);
  const size = spec.bars[index]?.size ?? PAGE;
  const [from, length] = pick(dice, [
    [0, size],
    [0, PAGE],
    [0, 2 * PAGE],
    [PAGE, PAGE],
    [size - PAGE, PAGE],
    [0, size + 1],
    [PAGE, size],
    [size, PAGE],
    [0, 1],
    [1, PAGE],
    [0, 0],
  ]);
  const prot = oneIn(dice, 4) ? dice.roll(4) : READ_WRITE;
  const offset = index * REGION_SIZE + Math.max(0, from);
  const shared = oneIn(dice, 12) ? { private: true as const } : {};
  return { op: "mmap", fd, length, prot, offset, ...shared, as: handles.fresh("mapping") };
}

/** Accesses a mapping, or ends it; undefined where there is none. */
export function accessMapping(dice: Dice, handles: Handles): Call | undefined {
  if (handles.memory.length === 0) return undefined;
  const { handle: at, length, offset: from, hardware } = pick(dice, handles.memory);
  if (oneIn(dice, 16)) return { op: "munmap", at, length };
  if (hardware && from === 0 && !oneIn(dice, 6)) {
    const move = registerMove(dice, hardware);
    const width = pick(dice, WIDTHS);
    const offset = move.at - (move.at % width);
    if (!move.bytes) return { op: "load", at, offset, width };
    const value = move.bytes.slice(0, Math.min(4, width)).reduceRight((sum, byte) => sum * 256 + byte, 0);
    return { op: "store", at, offset, width, value };
  }
  const width = pick(dice, WIDTHS);
  const offset = pick(dice, [0, 8, 0x18, length - width, (length >> 1) & ~7]);
  if (oneIn(dice, 4)) return { op: "store", at, offset, width, value: dice.roll(256) };
  return { op: "load", at, offset, width };
}
