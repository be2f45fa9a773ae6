/** Eventfds that write to a BAR. Beside vfio_pci_ioeventfd of drivers/vfio/pci/vfio_pci_rdwr.c, and its ioctl in vfio_pci_core.c. */
import { EventFile } from "../eventfd.ts";
import { clauses, must } from "../kernel/clause.ts";
import { type Ioctl, ioctl, vfioRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Unmodelled } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import type { PciFunction } from "../pci/function.ts";
import type { AccessWidth } from "../program.ts";
import { field, layout, offsetOfEnd } from "../uapi/layout.ts";
import type { DeviceFile } from "../vfio/device.ts";
import { PCI_REGION, REGION_SIZE } from "../vfio/device-info.ts";
import { VirqfdSlot } from "../vfio/virqfd.ts";

const source = (name: string) => `drivers/vfio/pci/${name}`;
const header = "include/uapi/linux/vfio.h:VFIO_DEVICE_IOEVENTFD";
const check = source("vfio_pci_core.c:vfio_pci_ioctl_ioeventfd");
const register = source("vfio_pci_rdwr.c:vfio_pci_ioeventfd");

export const rule = clauses({
  "VFIO-PCI-IOEVENTFD-1": { rule: "the struct must be readable up to its descriptor", errno: "EFAULT", source: check },
  "VFIO-PCI-IOEVENTFD-2": { rule: "argsz covers the struct up to its descriptor", errno: "EINVAL", source: check },
  "VFIO-PCI-IOEVENTFD-3": { rule: "there are no flags but those of the width", errno: "EINVAL", source: check },
  "VFIO-PCI-IOEVENTFD-4": {
    rule: "there is one width, of one, two, four or eight bytes, and no descriptor below -1",
    errno: "EINVAL",
    source: header,
  },
  "VFIO-PCI-IOEVENTFD-5": { rule: "only BARs are written to", errno: "EINVAL", source: header },
  "VFIO-PCI-IOEVENTFD-6": {
    rule: "what is written lies in the BAR, from its begin to its end",
    errno: "EINVAL",
    source: register,
  },
  "VFIO-PCI-IOEVENTFD-7": {
    rule: "no byte of the MSI-X table is written to",
    errno: "EINVAL",
    source: header,
  },
  "VFIO-PCI-IOEVENTFD-8": {
    rule: "a write is set up once: at one place, with one width and one number, whatever the eventfd",
    errno: "EEXIST",
    source: register,
  },
  "VFIO-PCI-IOEVENTFD-9": {
    rule: "with -1 a write is not done any more",
    source: header,
    observable: "later-call",
  },
  "VFIO-PCI-IOEVENTFD-10": {
    rule: "a write that is to be taken back must be set up",
    errno: "ENODEV",
    source: register,
  },
  "VFIO-PCI-IOEVENTFD-11": {
    rule: "a function has room for 1000 of them, and asks for that before it looks at the eventfd",
    errno: "ENOSPC",
    source: register,
  },
  "VFIO-PCI-IOEVENTFD-12": {
    rule: "whenever the eventfd is written to, the number is written to the BAR, in one access",
    source: header,
    observable: "later-call",
  },
  "VFIO-PCI-IOEVENTFD-13": {
    rule: "while memory does not answer nothing is written, and what the eventfd counted is gone all the same",
    source: source("vfio_pci_rdwr.c:vfio_pci_ioeventfd_handler"),
    observable: "later-call",
  },
  "VFIO-PCI-IOEVENTFD-14": {
    rule: "the last close ends all of them",
    source: source("vfio_pci_core.c:vfio_pci_core_disable"),
    observable: "later-call",
  },
});

const WIDTHS = { "8": 1, "16": 2, "32": 4, "64": 8 } as const;
const WIDTH_MASK = 0xf;
const MOST = 1000;

const IoeventfdStruct = layout("vfio_device_ioeventfd", {
  argsz: field.argsz(),
  flags: field.value32(WIDTHS["32"], WIDTHS["32"], WIDTHS["8"], WIDTHS["16"], WIDTHS["64"], 0, 3, 0x14),
  offset: field.value64(4, 0x60, 0x64, 0x80, 0, 0xffffe, 0x100000, PCI_REGION.ROM * REGION_SIZE, 1n << 63n),
  data: field.value64(1, 0, 0xffff_ffff, (1n << 64n) - 1n),
  fd: field.fd("eventfd"),
  reserved: field.value32(0),
});
const MINSZ = offsetOfEnd(IoeventfdStruct, "fd");

export const ioeventfd: Ioctl<DeviceFile> = ioctl<DeviceFile>({
  name: "VFIO_DEVICE_IOEVENTFD",
  request: vfioRequest(116),
  argument: { kind: "struct", layout: IoeventfdStruct },
  on: ["device"],
  weight: 0.1,
  useful: (_k, file) => file.accessGranted,
  run: (k, file, arg) => file.device.ops.ioctl(k, file, ioeventfd, arg),
});

/** A write that is done whenever an eventfd is written to. */
export interface RegisterWrite {
  readonly bar: number;
  readonly at: number;
  readonly width: AccessWidth;
  readonly data: bigint;
}

/** struct vfio_pci_ioeventfd */
export interface Ioeventfd extends RegisterWrite {
  readonly slot: VirqfdSlot;
}

const isWidth = (bits: number): bits is AccessWidth => bits === 1 || bits === 2 || bits === 4 || bits === 8;

export const steps = {
  /** vfio_pci_ioctl_ioeventfd */
  ioeventfd(k: Kernel, pciFunction: PciFunction, block: UserBlock): void {
    block.copyFrom(MINSZ, rule["VFIO-PCI-IOEVENTFD-1"]);
    must(block.u32(0) >= MINSZ, rule["VFIO-PCI-IOEVENTFD-2"]);
    const flags = block.u32(4);
    must((flags & ~WIDTH_MASK) === 0, rule["VFIO-PCI-IOEVENTFD-3"]);
    const fd = block.s32(24);
    must(isWidth(flags) && fd >= -1, rule["VFIO-PCI-IOEVENTFD-4"]);
    const offset = block.u64(8);
    k.vfioPci.checkBar(offset);
    const [bar, at] = [Math.floor(Number(offset) / REGION_SIZE), Number(offset) % REGION_SIZE];
    k.vfioPci.setIoeventfd(k, pciFunction, { bar, at, width: flags, data: block.u64(16) }, fd);
  },

  /** Refuses what is in no BAR; the offset is a number without a sign. */
  checkBar(offset: bigint): void {
    must(offset < BigInt(PCI_REGION.ROM * REGION_SIZE), rule["VFIO-PCI-IOEVENTFD-5"]);
  },

  /** vfio_pci_ioeventfd */
  setIoeventfd(k: Kernel, pciFunction: PciFunction, write: RegisterWrite, fd: number): void {
    const { bar, at, width, data } = write;
    const { spec, ioeventfds } = pciFunction;
    must(at + width <= (spec.bars[bar]?.size ?? 0), rule["VFIO-PCI-IOEVENTFD-6"]);
    const table = k.vfioPci.hiddenRange(spec, bar);
    must(at + width <= table.from || at >= table.to, rule["VFIO-PCI-IOEVENTFD-7"]);
    k.vfioPci.checkWidth(width);
    const index = ioeventfds.findIndex(
      (each) => each.bar === bar && each.at === at && each.width === width && each.data === data,
    );
    const same = ioeventfds[index];
    if (same) {
      must(fd === -1, rule["VFIO-PCI-IOEVENTFD-8"]);
      k.intrs.disableVirqfd(same.slot);
      ioeventfds.splice(index, 1);
      k.keeps(rule["VFIO-PCI-IOEVENTFD-9"]);
      return;
    }
    must(fd >= 0, rule["VFIO-PCI-IOEVENTFD-10"]);
    must(ioeventfds.length < MOST, rule["VFIO-PCI-IOEVENTFD-11"]);
    k.alloc();
    k.vfioPci.addIoeventfd(k, pciFunction, { ...write, slot: new VirqfdSlot() }, fd);
  },

  /** Kernels have all widths, or all but the last. */
  checkWidth(_width: AccessWidth): void {},

  addIoeventfd(k: Kernel, pciFunction: PciFunction, entry: Ioeventfd, fd: number): void {
    const file = k.fds.get(fd);
    const counter = file instanceof EventFile ? file.counter : null;
    if (counter?.signalled) throw new Unmodelled("interrupts that write to registers");
    const foresee = (): void => k.vfioPci.foreseeIoeventfd(k, pciFunction, entry);
    if (counter && counter.count > 0n) foresee();
    k.intrs.enableVirqfd(k, entry.slot, fd, () => k.vfioPci.ioeventfdFires(k, pciFunction, entry), foresee);
    pciFunction.ioeventfds.unshift(entry);
  },

  /** Whether what is written can be told: asked before the eventfd is written to. */
  foreseeIoeventfd(k: Kernel, pciFunction: PciFunction, entry: Ioeventfd): void {
    const { bar, at, width, data } = entry;
    if (pciFunction.power.engaged) throw new Unmodelled("registers of a function that may sleep");
    if (!k.vfioPci.reaches(k, pciFunction, bar)) return;
    const store = { at, width, value: BigInt.asUintN(8 * width, data) };
    const interrupts = k.vfioPci.foreseeStores(k, pciFunction, bar, [store]);
    const { hardware, irqs, ioeventfds } = pciFunction;
    const counter = entry.slot.virqfd?.counter;
    const also = (slot: VirqfdSlot): boolean =>
      slot !== entry.slot && counter !== undefined && slot.virqfd?.counter === counter;
    if (interrupts && irqs.intx && also(irqs.intx.unmask)) {
      throw new Unmodelled("whether INTx is unmasked before it is asked for");
    }
    if (hardware?.throttled && ioeventfds.some(({ slot }) => also(slot))) {
      throw new Unmodelled("interrupts that follow each other too fast");
    }
  },

  /** vfio_pci_ioeventfd_handler */
  ioeventfdFires(k: Kernel, pciFunction: PciFunction, { bar, at, width, data }: RegisterWrite): void {
    if (!k.vfioPci.reaches(k, pciFunction, bar)) {
      k.keeps(rule["VFIO-PCI-IOEVENTFD-13"]);
      return;
    }
    k.vfioPci.store(k, pciFunction, bar, { at, width, value: BigInt.asUintN(8 * width, data) });
    k.keeps(rule["VFIO-PCI-IOEVENTFD-12"]);
  },

  /** What vfio_pci_core_disable does to them */
  closeIoeventfds(k: Kernel, { ioeventfds }: PciFunction): void {
    if (ioeventfds.length > 0) k.keeps(rule["VFIO-PCI-IOEVENTFD-14"]);
    for (const { slot } of ioeventfds.splice(0)) k.intrs.disableVirqfd(slot);
  },
};
