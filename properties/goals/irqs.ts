/** Goals about interrupts of PCI functions. */
import { handleKind } from "../../model/handles.ts";
import { PCI_IRQ } from "../../model/vfio/device-info.ts";
import { IRQ_SET } from "../../model/vfio/irqs.ts";
import type { Goal } from "../coverage.ts";

/** The numbers of a struct vfio_irq_set; what is a handle, or was left out, is 0. */
interface Request {
  readonly index: number;
  readonly flags: number;
  readonly start: number;
  readonly count: number;
}

/** An interrupt that was set so, with success. */
function irqsSet(id: string, title: string, as: (request: Request) => boolean, needs: Goal["needs"] = {}): Goal {
  return {
    id,
    title,
    needs,
    reached(call, { ret }) {
      if (call.op !== "ioctl" || call.request !== "VFIO_DEVICE_SET_IRQS" || ret !== 0) return false;
      if (call.arg.kind !== "struct") return false;
      const { fields } = call.arg.struct;
      const number = (name: string): number => {
        const value = fields[name];
        return typeof value === "number" ? value : 0;
      };
      return as({ index: number("index"), flags: number("flags"), start: number("start"), count: number("count") });
    },
  };
}

const SET = IRQ_SET.EVENTFD | IRQ_SET.TRIGGER;

export const IRQ_GOALS: readonly Goal[] = [
  irqsSet("intx", "INTx was set up", ({ index, flags }) => index === PCI_IRQ.INTX && flags === SET),
  irqsSet(
    "intx-unmask-eventfd",
    "INTx got an eventfd that unmasks it",
    ({ index, flags }) => index === PCI_IRQ.INTX && flags === (IRQ_SET.EVENTFD | IRQ_SET.UNMASK),
  ),
  irqsSet("msi", "MSI was set up", ({ index, flags }) => index === PCI_IRQ.MSI && flags === SET),
  irqsSet(
    "msix-vectors",
    "several MSI-X vectors were set up in one call",
    ({ index, flags, count }) => index === PCI_IRQ.MSIX && flags === SET && count > 1,
  ),
  irqsSet(
    "msix-later-vector",
    "an MSI-X vector was set up that is not the first",
    ({ index, flags, start }) => index === PCI_IRQ.MSIX && flags === SET && start > 0,
  ),
  irqsSet(
    "irq-by-hand",
    "an interrupt was raised by hand",
    ({ flags, count }) => flags === (IRQ_SET.NONE | IRQ_SET.TRIGGER) && count > 0,
  ),
  {
    id: "irq-counted",
    title: "an interrupt was counted",
    reached: (call, { ret }) =>
      call.op === "read" && typeof call.fd === "string" && handleKind(call.fd) === "eventfd" && ret > 0,
  },
];
