/** What an eventfd is to write to a function: mostly a register, and what is there already now and then. */
import { E1000e } from "../../model/pci/e1000e.ts";
import { Edu } from "../../model/pci/edu.ts";
import type { Hardware } from "../../model/pci/hardware.ts";
import type { FieldValue } from "../../model/program.ts";
import { DeviceFile } from "../../model/vfio/device.ts";
import { REGION_SIZE } from "../../model/vfio/device-info.ts";
import { msixTableIn } from "../../model/vfio-pci/msix-table.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import { kindBits } from "./handles.ts";
import type { Situation } from "./moves.ts";
import { someCauses } from "./network-adapter-moves.ts";

const { LIVENESS, STATUS, INTERRUPT_RAISE, INTERRUPT_ACKNOWLEDGE, DMA_SOURCE, DMA_COUNT } = Edu.REGISTER;
const REGISTERS = [LIVENESS, LIVENESS, STATUS, INTERRUPT_RAISE, INTERRUPT_ACKNOWLEDGE, DMA_SOURCE, DMA_COUNT];
const EVENTFDS = kindBits(["eventfd"]);
const SIZE = 32;

const { CAUSE, CAUSE_SET, MASK_SET, MASK_CLEAR } = E1000e.REGISTER;
const OF_ADAPTER = [CAUSE_SET, CAUSE_SET, MASK_SET, MASK_CLEAR, CAUSE];

const registersOf = (hardware: Hardware): readonly number[] => (hardware instanceof E1000e ? OF_ADAPTER : REGISTERS);

function someData(dice: Dice, hardware: Hardware | null): number {
  if (hardware instanceof E1000e) return oneIn(dice, 4) ? E1000e.ALL : someCauses(dice);
  return oneIn(dice, 2) ? 1 : dice.roll(1 << 16);
}

/** Fields for IOEVENTFD of a function that is open; undefined for all else, and now and then. */
export function ioeventfdFields(
  { dice, handles }: Situation,
  name: string,
  file: object | null,
): Record<string, FieldValue> | undefined {
  if (name !== "VFIO_DEVICE_IOEVENTFD" || !(file instanceof DeviceFile) || !file.accessGranted) return undefined;
  const { backing } = file.device;
  if (backing.kind !== "pci" || oneIn(dice, 6)) return undefined;
  const { spec, hardware, ioeventfds } = backing.function;
  const fd = oneIn(dice, 8) ? pick(dice, [-1, -1, 900, -2]) : (handles.ofKind(dice, EVENTFDS)?.handle ?? -1);
  if (ioeventfds.length > 0 && oneIn(dice, 3)) {
    const { bar, at, width, data } = pick(dice, ioeventfds);
    const other = oneIn(dice, 3) ? -1 : fd;
    return { argsz: SIZE, flags: width, offset: bar * REGION_SIZE + at, data, fd: other };
  }
  const bars = spec.bars.flatMap((bar, index) => (bar && index < 6 ? [{ index, size: bar.size }] : []));
  const { index, size } = oneIn(dice, 16) || bars.length === 0 ? { index: dice.roll(9), size: 4096 } : pick(dice, bars);
  const flags = pick(dice, [4, 4, 4, 4, 8, 1, 2]);
  const table = msixTableIn(spec, index);
  const at =
    hardware && !oneIn(dice, 6)
      ? pick(dice, registersOf(hardware))
      : pick(dice, [0, size - 4, size - 3, size, table.to, 8]);
  const data = oneIn(dice, 8) ? (1n << 64n) - 1n : someData(dice, hardware);
  return { argsz: SIZE, flags, offset: index * REGION_SIZE + at, data, fd };
}
