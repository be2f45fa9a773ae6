/**
 * Interrupt controllers that a VM has in the kernel: a PIC and an I/O APIC, or neither, with user space in their place. As far as
 * interrupts reach them while there is no processor that takes any. Beside arch/x86/kvm/irq.c, i8259.c and ioapic.c.
 */
import { clauses, must, refuse } from "../kernel/clause.ts";
import { ioctl, kvmRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import { rule as vfsRule } from "../kernel/vfs.ts";
import { field, layout } from "../uapi/layout.ts";
import { defaultRoutes, MAX_IRQ_ROUTES, type Route } from "./gsi-routing.ts";
import type { Vm, VmFile } from "./kvm.ts";

const api = "Documentation/virt/kvm/api.rst";

export const rule = clauses({
  "KVM-IRQCHIP-1": {
    rule: "a VM gets its interrupt controllers once, the whole of them or the part that works with those of user space",
    errno: "EEXIST",
    source: "arch/x86/kvm/x86.c:kvm_arch_vm_ioctl",
  },
  "KVM-IRQCHIP-2": {
    rule: "interrupts 0 to 15 of a VM lead to its PIC and its I/O APIC, those up to 23 to the latter, until they are routed otherwise",
    source: `${api}:KVM_CREATE_IRQCHIP`,
    observable: "later-call",
  },
  "KVM-SPLIT-1": {
    rule: "a capability of a VM is enabled without flags",
    errno: "EINVAL",
    source: "arch/x86/kvm/x86.c:kvm_vm_ioctl_enable_cap",
  },
  "KVM-SPLIT-2": {
    rule: "a capability that nobody knows can't be enabled",
    errno: "EINVAL",
    source: `${api}:KVM_ENABLE_CAP`,
  },
  "KVM-SPLIT-3": {
    rule: "no more interrupts can be kept for user space's I/O APIC than can be routed",
    errno: "EINVAL",
    source: "arch/x86/kvm/x86.c:kvm_vm_ioctl_enable_cap",
  },
  "KVM-SPLIT-4": {
    rule: "with KVM_CAP_SPLIT_IRQCHIP a VM routes interrupts while user space has its PIC and I/O APIC; none is routed yet",
    source: `${api}:KVM_CAP_SPLIT_IRQCHIP`,
    observable: "later-call",
  },
  "KVM-SPLIT-5": {
    rule: "the struct must be readable",
    errno: "EFAULT",
    source: "virt/kvm/kvm_main.c:kvm_vm_ioctl",
  },
  "KVM-LINE-1": {
    rule: "the struct must be readable",
    errno: "EFAULT",
    source: "virt/kvm/kvm_main.c:kvm_vm_ioctl",
  },
  "KVM-LINE-2": {
    rule: "there must be an interrupt controller in the kernel",
    errno: "ENXIO",
    source: `${api}:KVM_IRQ_LINE`,
  },
  "KVM-LINE-3": {
    rule: "the interrupt is asserted or not from now on, where it leads to a PIC or an I/O APIC",
    source: `${api}:KVM_IRQ_LINE`,
    observable: "later-call",
  },
  "KVM-LINE-4": {
    rule: "the status tells how many take the interrupt, 0 where it is pending already, -1 where nobody does",
    source: "virt/kvm/irqchip.c:kvm_set_irq",
    observable: "output",
  },
  "KVM-LINE-5": {
    rule: "the struct must be writable; the interrupt is asserted all the same",
    errno: "EFAULT",
    partial: true,
    source: "virt/kvm/kvm_main.c:kvm_vm_ioctl",
  },
});

/** Who asserts a line: user space and irqfds, or irqfds that are resampled (KVM_USERSPACE_IRQ_SOURCE_ID and the other). */
export const IRQ_SOURCE = { USERSPACE: 1, RESAMPLE: 2 } as const;
export type IrqSource = (typeof IRQ_SOURCE)[keyof typeof IRQ_SOURCE];

export const PIC_PINS = 16;
export const IOAPIC_PINS = 24;
/** Where the second PIC is connected to the first. */
const CASCADE = 2;

/** Lines that are asserted as long as one of their sources does. */
class Lines {
  readonly #sources: number[];

  constructor(count: number) {
    this.#sources = Array.from({ length: count }, () => 0);
  }

  /** __kvm_irq_line_state: whether the line is asserted now. */
  set(line: number, source: IrqSource, level: boolean): boolean {
    const before = this.#sources[line] ?? 0;
    const now = level ? before | source : before & ~source;
    this.#sources[line] = now;
    return now !== 0;
  }

  trace(): number {
    let hash = 0;
    for (const sources of this.#sources) hash = Math.imul(hash ^ (sources + 1), 0x01000193);
    return hash;
  }
}

/** KVM_IRQCHIP_KERNEL: a PIC of two chips, whose pins all tell edges, and an I/O APIC, whose pins are all masked. */
export class KernelIrqchip {
  readonly #picLines = new Lines(PIC_PINS);
  readonly #ioapicLines = new Lines(IOAPIC_PINS);
  /** Interrupts that wait for a processor: nothing takes one away. */
  #picPending = 0;
  /** last_irr: lines as the PIC saw them last. */
  #picSeen = 0;
  #ioapicAsserted = 0;

  /** kvm_pic_set_irq: 1 where the pin takes it, 0 where it is pending already. */
  setPic(pin: number, source: IrqSource, level: boolean): number {
    const taken = this.#picEdge(pin, this.#picLines.set(pin, source, level));
    if (this.#picPending >>> 8 !== 0) {
      this.#picEdge(CASCADE, true);
      this.#picEdge(CASCADE, false);
    }
    return taken;
  }

  /** pic_set_irq1 */
  #picEdge(pin: number, level: boolean): number {
    const bit = 1 << pin;
    let taken = 1;
    if (!level) {
      this.#picSeen &= ~bit;
    } else {
      if ((this.#picSeen & bit) === 0) {
        taken = (this.#picPending & bit) === 0 ? 1 : 0;
        this.#picPending |= bit;
      }
      this.#picSeen |= bit;
    }
    return taken;
  }

  /** kvm_ioapic_set_irq: -1 where a masked pin is asserted, 0 where it is already. */
  setIoapic(pin: number, source: IrqSource, level: boolean): number {
    const bit = 1 << pin;
    if (!this.#ioapicLines.set(pin, source, level)) {
      this.#ioapicAsserted &= ~bit;
      return 1;
    }
    const before = this.#ioapicAsserted;
    this.#ioapicAsserted |= bit;
    return before === this.#ioapicAsserted ? 0 : -1;
  }

  /** A number for all of it. */
  trace(): number {
    const chips = (this.#picPending ^ (this.#picSeen << 12) ^ (this.#ioapicAsserted << 5)) | 0;
    return chips ^ this.#picLines.trace() ^ Math.imul(this.#ioapicLines.trace(), 31);
  }
}

/** What a VM has in the kernel: the whole of it, or what works with the controllers of user space. */
export type Irqchip = KernelIrqchip | "split";

export const createIrqchip = ioctl<VmFile>({
  name: "KVM_CREATE_IRQCHIP",
  request: kvmRequest(0x60),
  argument: { kind: "none" },
  on: ["vm"],
  weight: 0.3,
  useful: (_k, { vm }) => vm.irqchip === null,
  *run(k, { vm }): Operation<number> {
    if (!k.has("KVM_IOAPIC")) return refuse(vfsRule["VFS-IOCTL-1"]);
    using _ = yield* k.lock(vm.lock);
    must(vm.irqchip === null, rule["KVM-IRQCHIP-1"]);
    k.alloc();
    vm.irqchip = new KernelIrqchip();
    vm.routes = defaultRoutes();
    k.keeps(rule["KVM-IRQCHIP-2"]);
    return 0;
  },
});

const CAP_SPLIT_IRQCHIP = 121;
/** Below it are capabilities that do something else. */
const NO_CAPABILITY = 0x1000;

const EnableCap = layout("kvm_enable_cap", {
  cap: field.value32(CAP_SPLIT_IRQCHIP, NO_CAPABILITY),
  flags: field.flags(),
  args_0: field.value64(IOAPIC_PINS, 0, MAX_IRQ_ROUTES, MAX_IRQ_ROUTES + 1),
  args_1: field.value64(0),
  args_2: field.value64(0),
  args_3: field.value64(0),
  ...Object.fromEntries(Array.from({ length: 8 }, (_, at) => [`pad_${at}`, field.value64(0)])),
});
const CAP_FLAGS = 4;
const CAP_ARGS = 8;

export const enableCap = ioctl<VmFile>({
  name: "KVM_ENABLE_CAP",
  request: kvmRequest(0xa3, 1, EnableCap.size),
  argument: { kind: "struct", layout: EnableCap },
  on: ["vm"],
  weight: 0.3,
  useful: (_k, { vm }) => vm.irqchip === null,
  *run(k, { vm }, { block }): Operation<number> {
    block.copyFrom(EnableCap.size, rule["KVM-SPLIT-5"]);
    const cap = block.u32(0);
    if (cap !== CAP_SPLIT_IRQCHIP && cap < NO_CAPABILITY) throw new Unmodelled("other capabilities of a VM");
    must(block.u32(CAP_FLAGS) === 0, rule["KVM-SPLIT-1"]);
    must(cap === CAP_SPLIT_IRQCHIP, rule["KVM-SPLIT-2"]);
    using _ = yield* k.lock(vm.lock);
    must(block.u64(CAP_ARGS) <= MAX_IRQ_ROUTES, rule["KVM-SPLIT-3"]);
    must(vm.irqchip === null, rule["KVM-IRQCHIP-1"]);
    // From then on a VM has its table of routes, empty, as soon as it is made.
    if (!k.since("6.10")) k.alloc();
    vm.irqchip = "split";
    k.keeps(rule["KVM-SPLIT-4"]);
    return 0;
  },
});

const IrqLevel = layout("kvm_irq_level", {
  irq: field.value32(5, 9, 4, 24, 2, 12, MAX_IRQ_ROUTES),
  level: field.value32(1, 0),
});
const LEVEL = 4;

/** What is on its way to a VM's controllers has arrived or not: only a call that waits for it makes sure. */
const pinsAreSettled = (_k: Kernel, { vm }: VmFile): boolean => vm.irqchip !== null && vm.underWay.size === 0;

export const irqLine = ioctl<VmFile>({
  name: "KVM_IRQ_LINE",
  request: kvmRequest(0x61, 1, IrqLevel.size),
  argument: { kind: "struct", layout: IrqLevel },
  on: ["vm"],
  weight: 0.2,
  useful: pinsAreSettled,
  *run(k, { vm }, { block }): Operation<number> {
    block.copyFrom(IrqLevel.size, rule["KVM-LINE-1"]);
    k.irqchip.setLine(k, vm, block.u32(0), block.u32(LEVEL) !== 0);
    return 0;
  },
});

export const irqLineStatus = ioctl<VmFile>({
  name: "KVM_IRQ_LINE_STATUS",
  request: kvmRequest(0x67, 3, IrqLevel.size),
  argument: { kind: "struct", layout: IrqLevel },
  on: ["vm"],
  weight: 0.3,
  useful: pinsAreSettled,
  *run(k, { vm }, { block }): Operation<number> {
    block.copyFrom(IrqLevel.size, rule["KVM-LINE-1"]);
    const status = k.irqchip.setLine(k, vm, block.u32(0), block.u32(LEVEL) !== 0);
    // Number and status share their place.
    block.put(0, 4, status >>> 0, rule["KVM-LINE-5"]);
    k.keeps(rule["KVM-LINE-4"]);
    return 0;
  },
});

/** An interrupt of a VM without processors. */
function deliver(vm: Vm, route: Route, source: IrqSource, level: boolean): number {
  if (route.to === "msi" || !(vm.irqchip instanceof KernelIrqchip)) return -1;
  return route.to === "ioapic"
    ? vm.irqchip.setIoapic(route.pin, source, level)
    : vm.irqchip.setPic(route.pin, source, level);
}

export const steps = {
  /** kvm_vm_ioctl_irq_line: gives the status. */
  setLine(k: Kernel, vm: Vm, gsi: number, level: boolean): number {
    must(vm.irqchip !== null, rule["KVM-LINE-2"]);
    if (vm.underWay.size > 0) throw new Unmodelled("interrupts that are on their way to a VM");
    k.keeps(rule["KVM-LINE-3"]);
    return k.irqchip.setIrq(vm, gsi, IRQ_SOURCE.USERSPACE, level);
  },

  /** kvm_set_irq: how many take the interrupt, 0 where it is pending already, -1 where nobody does. */
  setIrq(vm: Vm, gsi: number, source: IrqSource, level: boolean): number {
    let status = -1;
    for (const route of vm.routes.get(gsi) ?? []) {
      const taken = deliver(vm, route, source, level);
      if (taken >= 0) status = taken + Math.max(status, 0);
    }
    return status;
  },
};
