/** Accesses to what is behind a function's BARs: at every width, across registers, around the MSI-X table and the end. */

import { E1000e } from "../../model/pci/e1000e.ts";
import { Edu } from "../../model/pci/edu.ts";
import type { PciFunction } from "../../model/pci/function.ts";
import type { Hardware } from "../../model/pci/hardware.ts";
import { imagesSize, romOf } from "../../model/pci/rom.ts";
import type { FunctionSpec } from "../../model/topology.ts";
import { PCI_REGION, REGION_SIZE } from "../../model/vfio/device-info.ts";
import { type BarRange, msixTableIn } from "../../model/vfio-pci/msix-table.ts";
import { VGA_RANGES } from "../../model/vfio-pci/vga.ts";
import type { RegionMove } from "./config-transfers.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import { copyMove } from "./dma-moves.ts";
import { adapterMove } from "./network-adapter-moves.ts";

const { LIVENESS, STATUS, INTERRUPT_STATUS, INTERRUPT_RAISE, INTERRUPT_ACKNOWLEDGE } = Edu.REGISTER;
const { IDENTIFICATION, DMA_SOURCE, DMA_DESTINATION, DMA_COUNT, DMA_COMMAND } = Edu.REGISTER;
const READ = [LIVENESS, LIVENESS, IDENTIFICATION, STATUS, INTERRUPT_STATUS, DMA_SOURCE, DMA_COUNT, DMA_COMMAND, 0x40];
const WRITTEN = [LIVENESS, LIVENESS, STATUS, DMA_SOURCE, DMA_DESTINATION, DMA_COUNT, DMA_COMMAND, IDENTIFICATION];
const WIDTHS = [4, 4, 4, 8, 8, 1, 2, 16, 3] as const;

/** A register of hardware that the suite knows, and what is written to it; mostly as it wants to be accessed. */
export interface RegisterMove {
  readonly at: number;
  readonly count: number;
  readonly bytes?: readonly number[];
}

export function registerMove(dice: Dice, hardware: Hardware): RegisterMove {
  if (hardware instanceof E1000e) return adapterMove(dice);
  if (oneIn(dice, 6)) return copyMove(dice);
  if (oneIn(dice, 3)) return interrupt(dice);
  const count = pick(dice, WIDTHS);
  if (oneIn(dice, 2)) return { at: pick(dice, READ) + (oneIn(dice, 12) ? dice.roll(4) : 0), count };
  const at = pick(dice, WRITTEN) + (oneIn(dice, 12) ? dice.roll(4) : 0);
  return { at, count, bytes: at === DMA_COMMAND ? [2] : Array.from({ length: count }, () => dice.roll(256)) };
}

/** Raises an interrupt, or acknowledges one or all. */
function interrupt(dice: Dice): RegisterMove {
  const bytes = pick(dice, [[1], [2], [0xff], [0, 0, 1], [0]]);
  if (oneIn(dice, 4)) return { at: INTERRUPT_STATUS, count: 4 };
  return oneIn(dice, 3)
    ? { at: INTERRUPT_ACKNOWLEDGE, count: 4, bytes: oneIn(dice, 2) ? [255, 255, 255, 255] : bytes }
    : { at: INTERRUPT_RAISE, count: 4, bytes };
}

/** One access of a BAR, or of one that the function has not. */
export function inBar(dice: Dice, { spec, hardware }: PciFunction): RegionMove {
  if (spec.vga && oneIn(dice, 3)) return inVga(dice);
  const bar = oneIn(dice, 12) ? dice.roll(7) : pickBar(dice, spec);
  const begin = bar * REGION_SIZE;
  const size = spec.bars[bar]?.size ?? 0;
  if (hardware && bar === 0 && !oneIn(dice, 8)) {
    const { at, ...move } = registerMove(dice, hardware);
    return { ...move, offset: begin + at };
  }
  const { from, to } = spec.rom === null ? msixTableIn(spec, bar) : imagesOf(spec, bar);
  const near = to > 0 && !oneIn(dice, 3) ? pick(dice, [from, from - 4, to, to - 4, to - 2, from + 3, from + 16]) : -1;
  const at = near >= 0 ? near : pick(dice, [0, 4, 8, 1, 2, size - 8, size - 4, size - 1, size, size + 4]);
  const move = { offset: begin + Math.max(0, at), count: pick(dice, [4, 8, 1, 2, 16, 32, 3, 0]) };
  return oneIn(dice, 3) ? { ...move, bytes: [dice.roll(256)] } : move;
}

/** One access around the begin or the end of a VGA range. */
function inVga(dice: Dice): RegionMove {
  const { from, to } = pick(dice, VGA_RANGES);
  const at = pick(dice, [from, from, from + 1, from + 6, to - 8, to - 4, to - 1, to, from - 4]);
  const move = { offset: PCI_REGION.VGA * REGION_SIZE + at, count: pick(dice, [4, 8, 1, 2, 16, 64, 3]) };
  return oneIn(dice, 6) ? { ...move, bytes: [dice.roll(256)] } : move;
}

/** What of a BAR reads as ones: behind the images of a ROM. */
function imagesOf(spec: FunctionSpec, bar: number): BarRange {
  const rom = bar === PCI_REGION.ROM ? romOf(spec) : null;
  return rom ? { from: imagesSize(rom), to: rom.length } : { from: 0, to: 0 };
}

function pickBar(dice: Dice, { bars, rom }: FunctionSpec): number {
  const there = bars.flatMap((bar, index) => (bar && (index < PCI_REGION.ROM || rom !== null) ? [index] : []));
  return there.length === 0 ? 0 : pick(dice, there);
}
