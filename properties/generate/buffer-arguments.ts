/** Arguments about buffers of functions: ranges that their BARs have, mostly, and registers that take buffers back. */
import { PAGE } from "../../model/kernel/memory-map.ts";
import type { PciFunction } from "../../model/pci/function.ts";
import type { FieldValue } from "../../model/program.ts";
import { DeviceFile } from "../../model/vfio/device.ts";
import { PCI_REGION, REGION_SIZE } from "../../model/vfio/device-info.ts";
import { FEATURE, FEATURE_INDEX } from "../../model/vfio/feature.ts";
import { layoutOf } from "../../model/vfio-pci/config-layout.ts";
import { COMMAND, PM } from "../../model/vfio-pci/config-perms.ts";
import type { RegionMove } from "./config-transfers.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import type { Situation } from "./moves.ts";

/** struct vfio_device_feature with room for three ranges. */
const SIZE = 72;
const [O_RDWR, O_CLOEXEC] = [2, 0o2000000];
const CONFIG = PCI_REGION.CONFIG * REGION_SIZE;

/** The bigger BARs of a function's memory, with their pages. */
function memoryBars({ spec }: PciFunction): { readonly index: number; readonly pages: number }[] {
  return spec.bars.flatMap((bar, index) =>
    bar?.memory && index < PCI_REGION.ROM && bar.size >= PAGE ? [{ index, pages: bar.size / PAGE }] : [],
  );
}

/** A range of a BAR, by its pages: mostly within it. */
function range(dice: Dice, pages: number): readonly [offset: number, length: number] {
  if (oneIn(dice, 4)) return [0, pages * PAGE];
  const first = oneIn(dice, 2) ? 0 : dice.roll(Math.min(pages, 16));
  const most = oneIn(dice, 12) ? pages + 1 : Math.min(pages - first, 8);
  return [first * PAGE, (1 + dice.roll(most)) * PAGE];
}

/** Fields of a buffer of a function's own. */
export function bufferFields(dice: Dice, pciFunction: PciFunction): Record<string, FieldValue> {
  const bars = memoryBars(pciFunction);
  const { index, pages } = bars.length === 0 ? { index: 0, pages: 1 } : pick(dice, bars);
  const nr_ranges = oneIn(dice, 5) ? 2 + dice.roll(2) : 1;
  const fields: Record<string, FieldValue> = {
    argsz: SIZE,
    flags: FEATURE.GET | FEATURE_INDEX.DMA_BUF,
    region_index: index,
    open_flags: pick(dice, [O_RDWR | O_CLOEXEC, O_RDWR, 0, 1, 3]),
    dma_buf_flags: 0,
    nr_ranges,
  };
  for (let n = 0; n < nr_ranges; n++) {
    const [offset, length] = range(dice, pages);
    fields[`offset_${n}`] = offset;
    fields[`length_${n}`] = length;
  }
  return fields;
}

/** Fields for a buffer of a function that is open; undefined for all else, and now and then. */
export function dmaBufFields({ dice }: Situation, name: string, file: object | null) {
  if (name !== "VFIO_DEVICE_FEATURE_DMA_BUF" || !(file instanceof DeviceFile) || !file.accessGranted) return undefined;
  const { backing } = file.device;
  return backing.kind !== "pci" || oneIn(dice, 5) ? undefined : bufferFields(dice, backing.function);
}

/** A write that has memory stop to answer or go on: to the command register or the power state. */
export function memoryMove(dice: Dice, { spec }: PciFunction): RegionMove {
  const power = layoutOf(spec, true).regions.find((region) => region?.permissions.kind === "pm");
  if (!power || !oneIn(dice, 3)) {
    return { offset: CONFIG + COMMAND.AT, count: 1, bytes: [pick(dice, [1, 3, 3, 7, 0, 2])] };
  }
  return { offset: CONFIG + power.start + PM.CONTROL, count: 1, bytes: [pick(dice, [3, 0, 0, 1])] };
}
