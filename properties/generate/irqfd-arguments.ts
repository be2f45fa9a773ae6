/** Interrupts of VMs as structs: mostly those that a VM has or can have, with eventfds that lead to them or that are free. */
import { EventFile } from "../../model/eventfd.ts";
import { ENTRIES, ROUTING_TYPE } from "../../model/kvm/gsi-routing.ts";
import { KernelIrqchip } from "../../model/kvm/irqchip.ts";
import { IRQFD_FLAG } from "../../model/kvm/irqfd.ts";
import { type Vm, VmFile } from "../../model/kvm/kvm.ts";
import type { FieldValue } from "../../model/program.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import { type Handles, kindBits } from "./handles.ts";
import type { Situation } from "./moves.ts";

const EVENTFDS = kindBits(["eventfd"]);
/** Interrupts that programs use; few, so that they meet. The first lead to both chips, 20 to the I/O APIC, others nowhere yet. */
export const GSIS = [5, 5, 9, 12, 2, 20, 24, 24, 25];
/** Where MSIs of x86 go. */
const MSI_ADDRESS = 0xfee0_0000;
const FIRST_VECTOR = 0x4020;

type Fields = Record<string, FieldValue>;

/** Fields of a call about a VM's interrupts; undefined for all else, and now and then. */
export function vmIrqFields({ dice, handles }: Situation, name: string, file: object | null): Fields | undefined {
  if (!(file instanceof VmFile) || oneIn(dice, 8)) return undefined;
  switch (name) {
    case "KVM_IRQFD":
      return oneIn(dice, 3) ? removal(dice, handles, file.vm) : assignment(dice, handles, file.vm);
    case "KVM_SET_GSI_ROUTING":
      return routes(dice, file.vm);
    case "KVM_IRQ_LINE":
    case "KVM_IRQ_LINE_STATUS":
      return { irq: pick(dice, GSIS), level: dice.roll(2) };
    default:
      return undefined;
  }
}

function assignment(dice: Dice, handles: Handles, { irqchip }: Vm): Fields | undefined {
  const entry = handles.ofKind(dice, EVENTFDS);
  if (!entry) return undefined;
  const gsi = pick(dice, GSIS);
  const resampled = oneIn(dice, irqchip instanceof KernelIrqchip ? 3 : 12);
  if (!resampled) return { fd: entry.handle, gsi, flags: 0 };
  const resamplefd = handles.ofKind(dice, EVENTFDS)?.handle ?? entry.handle;
  return { fd: entry.handle, gsi, flags: IRQFD_FLAG.RESAMPLE, resamplefd };
}

/** Mostly of one that is there. */
function removal(dice: Dice, handles: Handles, { irqfds }: Vm): Fields | undefined {
  if (irqfds.length === 0) return undefined;
  const { counter, gsi } = pick(dice, irqfds);
  const open = handles.files.find(({ file }) => file instanceof EventFile && file.counter === counter);
  if (!open) return undefined;
  return { fd: open.handle, gsi: oneIn(dice, 8) ? gsi + 1 : gsi, flags: IRQFD_FLAG.DEASSIGN };
}

/** A few routes, mostly of different interrupts. */
export function routes(dice: Dice, { irqchip }: Vm): Fields {
  const nr = dice.roll(ENTRIES + 1);
  const fields: Fields = { nr, flags: 0 };
  for (let at = 0; at < nr; at++) {
    fields[`gsi_${at}`] = pick(dice, GSIS);
    const toPin = irqchip instanceof KernelIrqchip ? !oneIn(dice, 3) : oneIn(dice, 12);
    fields[`type_${at}`] = toPin ? ROUTING_TYPE.IRQCHIP : ROUTING_TYPE.MSI;
    fields[`flags_${at}`] = 0;
    const chip = dice.roll(3);
    fields[`u_0_${at}`] = toPin ? chip : MSI_ADDRESS;
    fields[`u_1_${at}`] = toPin ? dice.roll(oneIn(dice, 12) ? 32 : 8) : 0;
    fields[`u_2_${at}`] = FIRST_VECTOR + at;
  }
  return fields;
}
