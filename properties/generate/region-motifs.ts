/** Openings of programs about what lies behind the regions of functions: it is open, and mostly interrupts. */

import { ioctl } from "../../model/ioctl-calls.ts";
import { PAGE } from "../../model/kernel/memory-map.ts";
import { Edu } from "../../model/pci/edu.ts";
import { PCI_IRQ } from "../../model/vfio/device-info.ts";
import { IRQ_SET } from "../../model/vfio/irqs.ts";
import { oneIn, pick } from "./dice.ts";
import { ENABLES, type Make, makeEventfd, setIrqs, writeCommand } from "./motif-calls.ts";
import { type Motif, openDevice } from "./motifs.ts";
import type { Situation } from "./moves.ts";
import { NETWORK_ADAPTER_MOTIFS } from "./network-adapter-motifs.ts";

const { EVENTFD, UNMASK, TRIGGER } = IRQ_SET;
const INTX_DISABLED = 4;

const opened: Motif = (on, make) => {
  openDevice(on, make, pick(on.dice, on.focus.devices));
};

/** QEMU's device for teaching; every machine that these are played on has one. */
function openEdu(on: Situation, make: Make): string {
  const known = on.machine.k.functions.flatMap(({ hardware, spec }) => (hardware instanceof Edu ? [spec.name] : []));
  return openDevice(on, make, pick(on.dice, known));
}

function raise(make: Make, fd: string): void {
  make({ op: "pwrite", fd, count: 4, offset: Edu.REGISTER.INTERRUPT_RAISE, bytes: [1] });
}

/** INTx is set up, mostly with an eventfd that unmasks it, and fires. */
const line: Motif = (on, make) => {
  const device = openEdu(on, make);
  const trigger = makeEventfd(on, make);
  setIrqs(make, device, PCI_IRQ.INTX, EVENTFD | TRIGGER, trigger);
  if (!oneIn(on.dice, 3)) setIrqs(make, device, PCI_IRQ.INTX, EVENTFD | UNMASK, makeEventfd(on, make));
  raise(make, device);
  if (oneIn(on.dice, 2)) make({ op: "read", fd: trigger, count: 8 });
};

/** INTx is set up while the command register disables it, and fires once it no longer does, or before. */
const latent: Motif = (on, make) => {
  const device = openEdu(on, make);
  const trigger = makeEventfd(on, make);
  writeCommand(make, device, ENABLES.MEMORY, INTX_DISABLED);
  setIrqs(make, device, PCI_IRQ.INTX, EVENTFD | TRIGGER, trigger);
  if (oneIn(on.dice, 3)) raise(make, device);
  writeCommand(make, device, ENABLES.MEMORY, 0);
  raise(make, device);
  make({ op: "read", fd: trigger, count: 8 });
};

/** MSI is set up, of a bus master, and fires. */
const message: Motif = (on, make) => {
  const device = openEdu(on, make);
  const trigger = makeEventfd(on, make);
  writeCommand(make, device, ENABLES.MASTER);
  setIrqs(make, device, PCI_IRQ.MSI, EVENTFD | TRIGGER, trigger);
  raise(make, device);
  if (oneIn(on.dice, 2)) make({ op: "read", fd: trigger, count: 8 });
};

/** Memory does not answer any more, and is accessed all the same. */
const disabled: Motif = (on, make) => {
  const device = openEdu(on, make);
  writeCommand(make, device, ENABLES.PORTS);
  make({ op: "pread", fd: device, count: 4, offset: Edu.REGISTER.LIVENESS });
  make({ op: "pwrite", fd: device, count: 4, offset: Edu.REGISTER.LIVENESS, bytes: [1] });
};

/** A BAR is mapped, and registers are accessed there; mostly memory stops to answer on the way, and goes on. */
const mapped: Motif = (on, make) => {
  const { dice } = on;
  const name = oneIn(dice, 4) ? pick(dice, on.focus.devices) : undefined;
  const device = name === undefined ? openEdu(on, make) : openDevice(on, make, name);
  const at = on.handles.fresh("mapping");
  make({ op: "mmap", fd: device, length: PAGE, prot: 3, offset: 0, as: at });
  const load = (): unknown => make({ op: "load", at, offset: Edu.REGISTER.LIVENESS, width: 4 });
  if (!oneIn(dice, 3)) load();
  make({ op: "store", at, offset: Edu.REGISTER.LIVENESS, width: 4, value: dice.roll(256) });
  if (oneIn(dice, 3)) return;
  writeCommand(make, device, ENABLES.PORTS);
  load();
  writeCommand(make, device, ENABLES.MEMORY);
  load();
};

/** An eventfd writes to a register, mostly while something else goes on: it is written to, and the register is read. */
const writing: Motif = (on, make) => {
  const { dice } = on;
  const device = openEdu(on, make);
  const fd = makeEventfd(on, make);
  const offset = pick(dice, [Edu.REGISTER.LIVENESS, Edu.REGISTER.LIVENESS, Edu.REGISTER.DMA_SOURCE]);
  const fields = { argsz: 32, flags: 4, offset, data: 1 + dice.roll(1 << 20), fd };
  make(ioctl(device, "VFIO_DEVICE_IOEVENTFD", fields));
  const answers = (memory: number): unknown => writeCommand(make, device, memory);
  const away = oneIn(dice, 3);
  if (away) answers(ENABLES.PORTS);
  make({ op: "write", fd, count: 8, bytes: [1] });
  if (away && !oneIn(dice, 4)) answers(ENABLES.MEMORY);
  if (oneIn(dice, 3)) make(ioctl(device, "VFIO_DEVICE_IOEVENTFD", { ...fields, fd: -1 }));
  if (oneIn(dice, 3)) make({ op: "close", fd });
  make({ op: "pread", fd: device, count: 4, offset });
};

export const REGION_MOTIFS: readonly Motif[] = [
  opened,
  line,
  line,
  latent,
  message,
  disabled,
  mapped,
  mapped,
  writing,
  writing,
  ...NETWORK_ADAPTER_MOTIFS,
];
