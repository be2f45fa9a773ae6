/** Openings of programs about a PCI function's interrupts: it is open, with eventfds, and one type is put to use. */
import { ioctl } from "../../model/ioctl-calls.ts";
import { PCI_IRQ } from "../../model/vfio/device-info.ts";
import { IRQ_SET } from "../../model/vfio/irqs.ts";
import { oneIn, pick } from "./dice.ts";
import { irqSet } from "./irq-arguments.ts";
import { makeEventfd } from "./motif-calls.ts";
import { type Motif, openDevice } from "./motifs.ts";

const { NONE, EVENTFD, UNMASK, TRIGGER } = IRQ_SET;

/** INTx, and mostly an eventfd that unmasks it, which is written to. */
const line: Motif = (on, make) => {
  const device = openDevice(on, make, pick(on.dice, on.focus.devices));
  const set = (flags: number, eventfd: string): void => {
    make(ioctl(device, "VFIO_DEVICE_SET_IRQS", irqSet(PCI_IRQ.INTX, flags, { count: 1, data: [eventfd] })));
  };
  set(EVENTFD | TRIGGER, makeEventfd(on, make));
  if (oneIn(on.dice, 3)) return;
  const eventfd = makeEventfd(on, make);
  if (oneIn(on.dice, 3)) make({ op: "write", fd: eventfd, count: 8, bytes: [2] });
  set(EVENTFD | UNMASK, eventfd);
  make({ op: "write", fd: eventfd, count: 8, bytes: [1] });
};

/** Some vectors, mostly more once they are in use, all of them raised by hand, and what one of their eventfds counted of that. */
const vectors: Motif = (on, make) => {
  const { dice, focus, machine } = on;
  const many = machine.k.functions.filter(({ spec }) => spec.msix > 1 && focus.devices.includes(spec.name));
  const name = many.length > 0 ? pick(dice, many).spec.name : pick(dice, focus.devices);
  const device = openDevice(on, make, name);
  const set = (start: number, data: readonly string[]): void => {
    const fields = irqSet(PCI_IRQ.MSIX, EVENTFD | TRIGGER, { start, count: data.length, data });
    make(ioctl(device, "VFIO_DEVICE_SET_IRQS", fields));
  };
  const first = Array.from({ length: 1 + dice.roll(2) }, () => makeEventfd(on, make));
  set(0, first);
  if (!oneIn(dice, 3)) set(first.length, [makeEventfd(on, make)]);
  const all = irqSet(PCI_IRQ.MSIX, NONE | TRIGGER, { count: first.length });
  if (oneIn(dice, 2)) return;
  make(ioctl(device, "VFIO_DEVICE_SET_IRQS", all));
  if (oneIn(dice, 2)) make({ op: "read", fd: pick(dice, first), count: 8 });
};

export const IRQ_MOTIFS: readonly Motif[] = [line, vectors];
