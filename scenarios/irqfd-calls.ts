/** Calls about the interrupts of the VM `@vm`, or of another. */
import { IRQFD_FLAG } from "../model/kvm/irqfd.ts";
import type { Call, Fields, Place, Value } from "../model/program.ts";
import { createVm, ioctl, ioctlValue, openEventfd, openKvm } from "./calls.ts";

const CAP_SPLIT_IRQCHIP = 121;

export const createIrqchip = (vm = "@vm"): Call => ioctlValue(vm, "KVM_CREATE_IRQCHIP");
/** Leaves the PIC and the I/O APIC to user space, for which so many interrupts are kept. */
export const splitIrqchip = (vm = "@vm", kept = 24): Call =>
  ioctl(vm, "KVM_ENABLE_CAP", { cap: CAP_SPLIT_IRQCHIP, args_0: kept });

export const irqfd = (fd: Value, gsi: number, vm = "@vm"): Call => ioctl(vm, "KVM_IRQFD", { fd, gsi });
/** The VM's end of the interrupt is told on the other eventfd. */
export const resampled = (fd: Value, gsi: number, resamplefd: Value, vm = "@vm"): Call =>
  ioctl(vm, "KVM_IRQFD", { fd, gsi, flags: IRQFD_FLAG.RESAMPLE, resamplefd });
export const endIrqfd = (fd: Value, gsi: number, vm = "@vm"): Call =>
  ioctl(vm, "KVM_IRQFD", { fd, gsi, flags: IRQFD_FLAG.DEASSIGN });

export const lineStatus = (irq: number, level: 0 | 1, place?: Place): Call =>
  ioctl("@vm", "KVM_IRQ_LINE_STATUS", { irq, level }, place === undefined ? {} : { place });
export const line = (irq: number, level: 0 | 1): Call => ioctl("@vm", "KVM_IRQ_LINE", { irq, level });

const ROUTING_IRQCHIP = 1;
const ROUTING_MSI = 2;
/** Where MSIs of x86 go, and one of them. */
const MSI_ADDRESS = 0xfee0_0000;

type Entry = Readonly<Record<"gsi" | "type" | "flags" | "u_0" | "u_1" | "u_2", number>>;

/** An interrupt that leads to a vector of the first processor. */
export const toMsi = (gsi: number, flags = 0): Entry => ({
  gsi,
  type: ROUTING_MSI,
  flags,
  u_0: MSI_ADDRESS,
  u_1: 0,
  u_2: 0x4000 + gsi,
});
/** An interrupt that leads to a pin of a chip: 0 and 1 are the PICs, 2 is the I/O APIC. */
export const toPin = (gsi: number, chip: number, pin: number, flags = 0): Entry => ({
  gsi,
  type: ROUTING_IRQCHIP,
  flags,
  u_0: chip,
  u_1: pin,
  u_2: 0,
});

export const route = (entries: readonly Entry[], fields: Fields = {}, place?: Place): Call => {
  const all: Record<string, number> = {};
  for (const [at, entry] of entries.entries()) {
    for (const [name, value] of Object.entries(entry)) if (value !== 0) all[`${name}_${at}`] = value;
  }
  const around = place === undefined ? {} : { place };
  return ioctl("@vm", "KVM_SET_GSI_ROUTING", { nr: entries.length, ...all, ...fields }, around);
};

/** A VM, and two eventfds `@eventfd` and `@eventfd1`. */
export const vmWithEventfds: readonly Call[] = [openKvm(), createVm(), openEventfd(), openEventfd("@eventfd1")];
