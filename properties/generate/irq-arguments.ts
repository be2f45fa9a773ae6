/** What is to be done with a PCI function's interrupts: mostly what makes sense with those that are in use. */
import { VECTORS } from "../../model/mdev/idxd/registers.ts";
import { VirtualDsa } from "../../model/mdev/idxd/virtual-device.ts";
import type { FieldValue, Value } from "../../model/program.ts";
import { DeviceFile } from "../../model/vfio/device.ts";
import { PCI_IRQ } from "../../model/vfio/device-info.ts";
import { IRQ_SET } from "../../model/vfio/irqs.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import { type Handles, kindBits } from "./handles.ts";
import type { Situation } from "./moves.ts";

const { NONE, BOOL, EVENTFD, MASK, UNMASK, TRIGGER } = IRQ_SET;
const HEADER = 20;
const EVENTFDS = kindBits(["eventfd"]);
/** Vectors that fit the block of a struct as descriptors, and more than anybody needs here. */
const MOST_VECTORS = 8;

type Fields = Record<string, FieldValue>;

/** SET_IRQS as a struct's fields: descriptors or bytes as data, or none. */
export function irqSet(
  index: number,
  flags: number,
  {
    start = 0,
    count,
    data = [],
  }: { readonly start?: number; readonly count: number; readonly data?: readonly Value[] },
): Fields {
  return { argsz: HEADER + 4 * data.length, flags, index, start, count, ...(data.length > 0 ? { data } : {}) };
}

/** Fields for SET_IRQS of a function that is open; undefined for all else, and now and then. */
export function irqFields({ dice, handles }: Situation, name: string, file: object | null): Fields | undefined {
  if (name !== "VFIO_DEVICE_SET_IRQS" || !(file instanceof DeviceFile) || !file.accessGranted) return undefined;
  const { backing, ops } = file.device;
  if (ops instanceof VirtualDsa && !oneIn(dice, 6)) return ofVectors(dice, handles, PCI_IRQ.MSIX, VECTORS);
  if (backing.kind !== "pci" || oneIn(dice, 6)) return undefined;
  const { spec, irqs } = backing.function;
  const index = oneIn(dice, 3) ? dice.roll(5) : (irqs.inUse ?? dice.roll(3));
  switch (index) {
    case PCI_IRQ.INTX:
      return ofIntx(dice, handles);
    case PCI_IRQ.MSI:
      return ofVectors(dice, handles, index, spec.msi);
    case PCI_IRQ.MSIX:
      return ofVectors(dice, handles, index, spec.msix);
    default:
      return ofOne(dice, handles, index);
  }
}

/** An eventfd, or now and then -1 or what is none. */
function eventfd(dice: Dice, handles: Handles): Value {
  if (oneIn(dice, 5)) return -1;
  if (oneIn(dice, 16)) return oneIn(dice, 3) ? -2 : 900;
  if (oneIn(dice, 16) && handles.files.length > 0) return pick(dice, handles.files).handle;
  return handles.ofKind(dice, EVENTFDS)?.handle ?? -1;
}

function ofOne(dice: Dice, handles: Handles, index: number): Fields {
  switch (dice.roll(6)) {
    case 0:
      return irqSet(index, NONE | TRIGGER, { count: dice.roll(2) });
    case 1:
      return irqSet(index, NONE | TRIGGER, { count: 1 });
    case 2:
      return irqSet(index, BOOL | TRIGGER, { count: 1, data: [dice.roll(2)] });
    default:
      return irqSet(index, EVENTFD | TRIGGER, { count: 1, data: [eventfd(dice, handles)] });
  }
}

function ofIntx(dice: Dice, handles: Handles): Fields {
  const { INTX } = PCI_IRQ;
  switch (dice.roll(8)) {
    case 0:
      return irqSet(INTX, NONE | pick(dice, [MASK, UNMASK]), { count: 1 });
    case 1:
      return irqSet(INTX, BOOL | pick(dice, [MASK, UNMASK]), { count: 1, data: [dice.roll(2)] });
    case 2:
    case 3:
      return irqSet(INTX, EVENTFD | (oneIn(dice, 8) ? MASK : UNMASK), { count: 1, data: [eventfd(dice, handles)] });
    default:
      return ofOne(dice, handles, INTX);
  }
}

/** A few vectors from the first on, or from some other. */
function ofVectors(dice: Dice, handles: Handles, index: number, vectors: number): Fields {
  const most = Math.min(vectors, MOST_VECTORS);
  const start = oneIn(dice, 2) ? 0 : dice.roll(most + 1);
  const count = oneIn(dice, 8) ? 0 : 1 + dice.roll(Math.max(1, Math.min(3, most - start)));
  switch (dice.roll(8)) {
    case 0:
      return irqSet(index, NONE | TRIGGER, { start: 0, count: 0 });
    case 1:
      return irqSet(index, NONE | TRIGGER, { start, count });
    case 2: {
      // One byte each.
      const bytes = dice.roll(2) | (dice.roll(2) << 8) | (dice.roll(2) << 16);
      return irqSet(index, BOOL | TRIGGER, { start, count, data: [bytes] });
    }
    default: {
      const data = Array.from({ length: count }, () => eventfd(dice, handles));
      return irqSet(index, EVENTFD | TRIGGER, { start, count, data });
    }
  }
}
