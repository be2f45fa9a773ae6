/** Openings of programs in which QEMU's network adapter interrupts: by its line, by MSI, and by every vector of MSI-X. */
import { ioctl } from "../../model/ioctl-calls.ts";
import { E1000e } from "../../model/pci/e1000e.ts";
import { PCI_IRQ } from "../../model/vfio/device-info.ts";
import { IRQ_SET } from "../../model/vfio/irqs.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import { irqSet } from "./irq-arguments.ts";
import { ENABLES, type Make, makeEventfd, setIrqs, writeCommand } from "./motif-calls.ts";
import { type Motif, openDevice } from "./motifs.ts";
import type { Situation } from "./moves.ts";
import { adapterStore, someVectors } from "./network-adapter-moves.ts";

const { EVENTFD, UNMASK, TRIGGER } = IRQ_SET;
const { CAUSE, CAUSE_SET, MASK_SET, MASK_CLEAR, VECTORS } = E1000e.REGISTER;
const { ALL, CAUSES } = E1000e;

/** An adapter that is open, its interrupt registers cleared. */
interface Adapter {
  readonly fd: string;
  store(at: number, value: number): void;
}

function openAdapter(on: Situation, make: Make): Adapter | undefined {
  const names = on.machine.k.functions.flatMap(({ hardware, spec }) => (hardware instanceof E1000e ? [spec.name] : []));
  if (names.length === 0) return undefined;
  const fd = openDevice(on, make, pick(on.dice, names));
  const store = (register: number, value: number): void => {
    const { at: offset, count, bytes } = adapterStore(register, value);
    make({ op: "pwrite", fd, count, offset, bytes });
  };
  store(MASK_CLEAR, ALL);
  store(CAUSE, ALL);
  return { fd, store };
}

const oneCause = (dice: Dice): number => 2 ** pick(dice, CAUSES);

/** A cause is allowed to interrupt and comes about, mostly in this order. */
function interrupt({ dice }: Situation, { store }: Adapter, cause: number): void {
  const latent = oneIn(dice, 4);
  store(latent ? CAUSE_SET : MASK_SET, cause);
  store(latent ? MASK_SET : CAUSE_SET, cause);
}

/** INTx fires, is taken back or not, and is unmasked, mostly by an eventfd. */
const line: Motif = (on, make) => {
  const { dice } = on;
  const adapter = openAdapter(on, make);
  if (!adapter) return;
  const { fd } = adapter;
  const [trigger, unmask] = [makeEventfd(on, make), makeEventfd(on, make)];
  setIrqs(make, fd, PCI_IRQ.INTX, EVENTFD | TRIGGER, trigger);
  const byEventfd = !oneIn(dice, 3);
  if (byEventfd) setIrqs(make, fd, PCI_IRQ.INTX, EVENTFD | UNMASK, unmask);
  interrupt(on, adapter, oneCause(dice));
  if (oneIn(dice, 2)) make({ op: "read", fd: trigger, count: 8 });
  if (oneIn(dice, 2)) make({ op: "pread", fd, count: 4, offset: CAUSE });
  if (byEventfd) make({ op: "write", fd: unmask, count: 8, bytes: [1] });
  else make(ioctl(fd, "VFIO_DEVICE_SET_IRQS", irqSet(PCI_IRQ.INTX, IRQ_SET.NONE | UNMASK, { count: 1 })));
};

/** MSI fires, of a bus master. */
const message: Motif = (on, make) => {
  const adapter = openAdapter(on, make);
  if (!adapter) return;
  const { fd } = adapter;
  const trigger = makeEventfd(on, make);
  if (!oneIn(on.dice, 8)) writeCommand(make, fd, ENABLES.MASTER);
  setIrqs(make, fd, PCI_IRQ.MSI, EVENTFD | TRIGGER, trigger);
  interrupt(on, adapter, oneCause(on.dice));
  make({ op: "read", fd: trigger, count: 8 });
};

/** Vectors of MSI-X fire, each with an eventfd of its own. */
const vectors: Motif = (on, make) => {
  const { dice } = on;
  const adapter = openAdapter(on, make);
  if (!adapter) return;
  const { fd, store } = adapter;
  const triggers = CAUSES.map(() => makeEventfd(on, make));
  if (!oneIn(dice, 8)) writeCommand(make, fd, ENABLES.MASTER);
  const data = triggers.map((trigger) => (oneIn(dice, 12) ? -1 : trigger));
  setIrqs(make, fd, PCI_IRQ.MSIX, EVENTFD | TRIGGER, ...data);
  store(VECTORS, someVectors(dice));
  interrupt(on, adapter, oneIn(dice, 2) ? oneCause(dice) : oneCause(dice) | oneCause(dice));
  for (const trigger of triggers) if (!oneIn(dice, 3)) make({ op: "read", fd: trigger, count: 8 });
};

export const NETWORK_ADAPTER_MOTIFS: readonly Motif[] = [line, message, vectors];
