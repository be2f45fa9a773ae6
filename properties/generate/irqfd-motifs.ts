/** Openings of programs about interrupts of VMs: eventfds lead to a VM, and interrupts of a function to the same eventfds. */
import { ioctl, ioctlValue } from "../../model/ioctl-calls.ts";
import { IRQFD_FLAG } from "../../model/kvm/irqfd.ts";
import { VmFile } from "../../model/kvm/kvm.ts";
import type { Value } from "../../model/program.ts";
import { PCI_IRQ } from "../../model/vfio/device-info.ts";
import { IRQ_SET } from "../../model/vfio/irqs.ts";
import { oneIn, pick } from "./dice.ts";
import { irqSet } from "./irq-arguments.ts";
import { GSIS, routes } from "./irqfd-arguments.ts";
import { createVm, type Make, makeEventfd, open } from "./motif-calls.ts";
import { type Motif, openDevice } from "./motifs.ts";
import type { Situation } from "./moves.ts";

const { NONE, EVENTFD, UNMASK, TRIGGER } = IRQ_SET;
const { INTX, MSIX, MSI } = PCI_IRQ;
const CAP_SPLIT_IRQCHIP = 121;
const KEPT = 24;

/** A VM with interrupt controllers in the kernel, all of them or the part that works with those of user space. */
function openIrqVm(on: Situation, make: Make, kvm: string): string {
  const { dice, machine } = on;
  const vm = createVm(on, make, kvm);
  if (machine.k.has("KVM_IOAPIC") && !oneIn(dice, 3)) make(ioctlValue(vm, "KVM_CREATE_IRQCHIP"));
  else make(ioctl(vm, "KVM_ENABLE_CAP", { cap: CAP_SPLIT_IRQCHIP, args_0: KEPT }));
  const file = machine.fileOf(vm);
  if (file instanceof VmFile && !oneIn(dice, 3)) make(ioctl(vm, "KVM_SET_GSI_ROUTING", routes(dice, file.vm)));
  return vm;
}

function assign(make: Make, vm: string, fd: Value, gsi: number, flags = 0, resamplefd: Value = 0): void {
  make(ioctl(vm, "KVM_IRQFD", { fd, gsi, flags, ...(flags === IRQFD_FLAG.RESAMPLE ? { resamplefd } : {}) }));
}

const write = (make: Make, fd: string): boolean => make({ op: "write", fd, count: 8, bytes: [1] });

/** Something is written to an eventfd that leads to a VM, and what became of it is looked at. */
const direct: Motif = (on, make) => {
  const { dice } = on;
  const vm = openIrqVm(on, make, open(on, make, { kind: "kvm" }));
  const eventfd = makeEventfd(on, make);
  const gsi = pick(dice, GSIS);
  if (oneIn(dice, 3)) write(make, eventfd);
  if (oneIn(dice, 3)) assign(make, vm, eventfd, gsi, IRQFD_FLAG.RESAMPLE, makeEventfd(on, make));
  else assign(make, vm, eventfd, gsi);
  write(make, eventfd);
  if (oneIn(dice, 2)) make({ op: "read", fd: eventfd, count: 8 });
  if (oneIn(dice, 3)) return;
  assign(make, vm, eventfd, gsi, IRQFD_FLAG.DEASSIGN);
  make(ioctl(vm, "KVM_IRQ_LINE_STATUS", { irq: gsi, level: 1 }));
};

/** Two VMs hear of one eventfd. */
const twice: Motif = (on, make) => {
  const kvm = open(on, make, { kind: "kvm" });
  const first = openIrqVm(on, make, kvm);
  const second = openIrqVm(on, make, kvm);
  const eventfd = makeEventfd(on, make);
  assign(make, first, eventfd, pick(on.dice, GSIS));
  assign(make, second, eventfd, pick(on.dice, GSIS));
  write(make, eventfd);
  if (oneIn(on.dice, 2)) make({ op: "close", fd: oneIn(on.dice, 2) ? first : second });
  make({ op: "read", fd: eventfd, count: 8 });
};

/** Vectors of a function are passed on to a VM: either comes first, and either goes first. */
const passed: Motif = (on, make) => {
  const { dice, machine, focus } = on;
  const many = machine.k.functions.filter(({ spec }) => spec.msix > 1 && focus.devices.includes(spec.name));
  const name = many.length > 0 ? pick(dice, many).spec.name : pick(dice, focus.devices);
  const index = many.length > 0 ? MSIX : MSI;
  const device = openDevice(on, make, name);
  const kvm = open(on, make, { kind: "kvm" });
  const vm = openIrqVm(on, make, kvm);
  const eventfds = [makeEventfd(on, make), makeEventfd(on, make)];
  if (oneIn(dice, 4)) eventfds[1] = eventfds[0] ?? "";
  const setVectors = (data: readonly Value[]): void => {
    const fields = irqSet(index, EVENTFD | TRIGGER, { count: data.length, data });
    make(ioctl(device, "VFIO_DEVICE_SET_IRQS", fields));
  };
  const all = index === MSIX ? eventfds : eventfds.slice(0, 1);
  const vmFirst = oneIn(dice, 2);
  if (!vmFirst) setVectors(all);
  for (const [at, eventfd] of all.entries()) assign(make, vm, eventfd, 24 + at);
  if (vmFirst) setVectors(all);
  make(ioctl(device, "VFIO_DEVICE_SET_IRQS", irqSet(index, NONE | TRIGGER, { count: all.length })));
  for (const fd of all) make({ op: "read", fd, count: 8 });
  if (oneIn(dice, 3)) {
    const other = openIrqVm(on, make, kvm);
    for (const fd of all) assign(make, other, fd, pick(dice, GSIS));
    if (oneIn(dice, 2)) make({ op: "close", fd: other });
  }
  if (oneIn(dice, 4)) return;
  switch (dice.roll(4)) {
    case 0:
      return setVectors(all.map(() => -1));
    case 1:
      return assign(make, vm, all[0] ?? -1, 24, IRQFD_FLAG.DEASSIGN);
    case 2:
      make({ op: "close", fd: all[0] ?? -1 });
      return;
    default:
      make({ op: "close", fd: vm });
  }
};

/** An eventfd that unmasks INTx leads to a VM as well, which gets it all. */
const unmasking: Motif = (on, make) => {
  const device = openDevice(on, make, pick(on.dice, on.focus.devices));
  const vm = openIrqVm(on, make, open(on, make, { kind: "kvm" }));
  const set = (flags: number, eventfd: string): void => {
    make(ioctl(device, "VFIO_DEVICE_SET_IRQS", irqSet(INTX, flags, { count: 1, data: [eventfd] })));
  };
  set(EVENTFD | TRIGGER, makeEventfd(on, make));
  const eventfd = makeEventfd(on, make);
  const vmFirst = oneIn(on.dice, 2);
  if (vmFirst) assign(make, vm, eventfd, pick(on.dice, GSIS));
  set(EVENTFD | UNMASK, eventfd);
  if (!vmFirst) assign(make, vm, eventfd, pick(on.dice, GSIS));
  write(make, eventfd);
};

export const IRQFD_MOTIFS: readonly Motif[] = [direct, direct, twice, passed, passed, passed, unmasking];
