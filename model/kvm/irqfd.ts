/** Eventfds that interrupt a VM: irqfds. Beside virt/kvm/eventfd.c. */
import { type EventCounter, type EventWaiter, eventfdOf } from "../eventfd.ts";
import { clauses, must } from "../kernel/clause.ts";
import { ioctl, kvmRequest } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import { field, layout } from "../uapi/layout.ts";
import { IrqBypassConsumer, type IrqBypassProducer } from "../virt/irqbypass.ts";
import { IRQ_SOURCE, KernelIrqchip } from "./irqchip.ts";
import type { Vm, VmFile } from "./kvm.ts";

const source = (name: string) => `virt/kvm/eventfd.c:${name}`;
const api = "Documentation/virt/kvm/api.rst:KVM_IRQFD";
const fdget = "fs/eventfd.c:eventfd_ctx_fdget";

export const rule = clauses({
  "KVM-IRQFD-1": { rule: "the struct must be readable", errno: "EFAULT", source: "virt/kvm/kvm_main.c:kvm_vm_ioctl" },
  "KVM-IRQFD-2": { rule: "there are no flags but DEASSIGN and RESAMPLE", errno: "EINVAL", source: source("kvm_irqfd") },
  "KVM-IRQFD-3": {
    rule: "there must be an interrupt controller in the kernel",
    errno: "EINVAL",
    source: "arch/x86/kvm/irq.c:kvm_arch_irqfd_allowed",
  },
  "KVM-IRQFD-4": {
    rule: "only interrupts of a PIC or I/O APIC in the kernel are resampled",
    errno: "EINVAL",
    source: "arch/x86/kvm/irq.c:kvm_arch_irqfd_allowed",
  },
  "KVM-IRQFD-5": { rule: "the eventfd must be an open descriptor", errno: "EBADF", source: source("kvm_irqfd_assign") },
  "KVM-IRQFD-6": { rule: "the eventfd must be one", errno: "EINVAL", source: source("kvm_irqfd_assign") },
  "KVM-IRQFD-7": { rule: "the eventfd to resample on must be an open descriptor", errno: "EBADF", source: fdget },
  "KVM-IRQFD-8": { rule: "the eventfd to resample on must be one", errno: "EINVAL", source: fdget },
  "KVM-IRQFD-9": {
    rule: "an eventfd interrupts a VM in one way only",
    errno: "EBUSY",
    source: source("kvm_irqfd_assign"),
    until: "6.16",
  },
  "KVM-IRQFD-10": {
    rule: "an eventfd interrupts one VM only, and in one way",
    errno: "EBUSY",
    source: source("kvm_irqfd_register"),
    since: "6.17",
  },
  "KVM-IRQFD-11": {
    rule: "what is written to the eventfd or signalled on it interrupts the VM, and is counted no more",
    source: api,
    observable: "later-call",
  },
  "KVM-IRQFD-12": {
    rule: "nobody else who waits for the eventfd hears of what interrupts the VM",
    source: source("irqfd_wakeup"),
    observable: "later-call",
  },
  "KVM-IRQFD-13": {
    rule: "what the eventfd counted before interrupts the VM as well, and stays counted until it is written to, or removed",
    source: source("kvm_irqfd_assign"),
    observable: "later-call",
  },
  "KVM-IRQFD-14": {
    rule: "the interrupt of an eventfd is pending from then on where it leads to a PIC, and asserted no more",
    source: api,
    observable: "later-call",
  },
  "KVM-IRQFD-15": {
    rule: "one that is resampled stays asserted until the VM's processor is done with it, or until no eventfd of it is left",
    source: api,
    observable: "later-call",
  },
  "KVM-IRQFD-16": {
    rule: "when the VM's processor is done with it the other eventfd is signalled",
    source: api,
    unseen: "it takes a processor of the VM",
  },
  "KVM-IRQFD-17": { rule: "the eventfd to remove must be an open descriptor", errno: "EBADF", source: fdget },
  "KVM-IRQFD-18": { rule: "the eventfd to remove must be one", errno: "EINVAL", source: fdget },
  "KVM-IRQFD-19": {
    rule: "with DEASSIGN eventfd and interrupt go their own ways at once; what it counted by then is gone",
    source: api,
    observable: "later-call",
  },
  "KVM-IRQFD-20": {
    rule: "removing what is not there is no error, not even where the VM has no interrupt controller",
    source: source("kvm_irqfd_deassign"),
  },
  "KVM-IRQFD-21": {
    rule: "the last close of a VM's file ends its irqfds, though others may hold the VM",
    source: source("kvm_irqfd_release"),
    observable: "later-call",
  },
  "KVM-IRQFD-22": {
    rule: "the last close of an eventfd ends its irqfds",
    source: source("irqfd_wakeup"),
    observable: "internal",
  },
});

/** struct kvm_kernel_irqfd */
export class Irqfd extends IrqBypassConsumer implements EventWaiter {
  readonly #k: Kernel;
  readonly vm: Vm;
  readonly gsi: number;
  readonly counter: EventCounter;
  /** Where it is told that a processor is done with the interrupt; null where it is not resampled. */
  readonly resampler: EventCounter | null;

  constructor(k: Kernel, vm: Vm, gsi: number, counter: EventCounter, resampler: EventCounter | null) {
    super();
    this.#k = k;
    this.vm = vm;
    this.gsi = gsi;
    this.counter = counter;
    this.resampler = resampler;
  }

  /** irqfd_wakeup, for EPOLLIN */
  woken(): boolean {
    this.#k.irqfd.wakeup(this.#k, this);
    return true;
  }

  /** irqfd_wakeup, for EPOLLHUP */
  hungUp(): void {
    this.#k.irqfd.shutdown(this.#k, this);
    this.#k.keeps(rule["KVM-IRQFD-22"]);
  }

  /** kvm_arch_irq_bypass_add_producer */
  addProducer(_producer: IrqBypassProducer): void {
    this.vm.bypassIrqs++;
  }

  /** kvm_arch_irq_bypass_del_producer */
  delProducer(): void {
    this.vm.bypassIrqs--;
  }
}

export const IRQFD_FLAG = { DEASSIGN: 1, RESAMPLE: 2 } as const;
const { DEASSIGN, RESAMPLE } = IRQFD_FLAG;

const KvmIrqfd = layout("kvm_irqfd", {
  fd: field.fd("eventfd"),
  gsi: field.value32(5, 9, 24, 25, 4096),
  flags: field.flags(
    { KVM_IRQFD_FLAG_DEASSIGN: DEASSIGN, KVM_IRQFD_FLAG_RESAMPLE: RESAMPLE },
    0,
    0,
    DEASSIGN,
    RESAMPLE,
  ),
  resamplefd: field.fd("eventfd"),
  pad_0: field.value64(0),
  pad_1: field.value64(0),
});

interface IrqfdRequest {
  readonly fd: number;
  readonly gsi: number;
  readonly flags: number;
  readonly resamplefd: number;
}

export const kvmIrqfd = ioctl<VmFile>({
  name: "KVM_IRQFD",
  request: kvmRequest(0x76, 1, KvmIrqfd.size),
  argument: { kind: "struct", layout: KvmIrqfd },
  on: ["vm"],
  weight: 0.5,
  useful: (_k, { vm }) => vm.irqchip !== null,
  *run(k, { vm }, { block }): Operation<number> {
    block.copyFrom(KvmIrqfd.size, rule["KVM-IRQFD-1"]);
    const request: IrqfdRequest = {
      fd: block.s32(0),
      gsi: block.u32(4),
      flags: block.u32(8),
      resamplefd: block.s32(12),
    };
    must((request.flags & ~(DEASSIGN | RESAMPLE)) === 0, rule["KVM-IRQFD-2"]);
    if (request.flags & DEASSIGN) yield* k.irqfd.deassign(k, vm, request);
    else yield* k.irqfd.assign(k, vm, request);
    return 0;
  },
});

export const steps = {
  /** kvm_irqfd_assign */
  *assign(k: Kernel, vm: Vm, { fd, gsi, flags, resamplefd }: IrqfdRequest): Operation<void> {
    const resampled = (flags & RESAMPLE) !== 0;
    k.irqfd.mustBeAllowed(vm, resampled);
    k.alloc();
    const counter = eventfdOf(k, fd, rule["KVM-IRQFD-5"], rule["KVM-IRQFD-6"]);
    const resampler = resampled ? k.irqfd.resampleEventfd(k, resamplefd) : null;
    const irqfd = new Irqfd(k, vm, gsi, counter, resampler);
    {
      using _ = yield* k.lock(vm.irqfdsLock);
      k.irqfd.mustBeFree(k, vm, counter);
      counter.waitFirst(irqfd);
      vm.irqfds.push(irqfd);
    }
    if (counter.count > 0n) {
      k.irqfd.inject(k, irqfd);
      k.keeps(rule["KVM-IRQFD-13"]);
    }
    k.irqBypass.registerConsumer(k, irqfd, counter);
  },

  /** kvm_arch_irqfd_allowed */
  mustBeAllowed({ irqchip }: Vm, resampled: boolean): void {
    if (resampled) must(irqchip instanceof KernelIrqchip, rule["KVM-IRQFD-4"]);
    else must(irqchip !== null, rule["KVM-IRQFD-3"]);
  },

  resampleEventfd(k: Kernel, fd: number): EventCounter {
    const counter = eventfdOf(k, fd, rule["KVM-IRQFD-7"], rule["KVM-IRQFD-8"]);
    // What tells of the interrupt's end is there once for all of its eventfds, and made with the first.
    k.alloc();
    return counter;
  },

  /** add_wait_queue_priority_exclusive; before 6.17 only the VM's own irqfds are looked at. */
  mustBeFree(k: Kernel, vm: Vm, counter: EventCounter): void {
    if (k.since("6.17")) must(!counter.hasFirst, rule["KVM-IRQFD-10"]);
    else
      must(
        vm.irqfds.every((other) => other.counter !== counter),
        rule["KVM-IRQFD-9"],
      );
  },

  /** irqfd_wakeup: the counter is read, and the interrupt injected. */
  wakeup(k: Kernel, irqfd: Irqfd): void {
    const { counter } = irqfd;
    counter.count = 0n;
    k.irqfd.inject(k, irqfd);
    k.keeps(rule["KVM-IRQFD-11"]);
    if (counter.waiters.at(-1) !== irqfd) k.keeps(rule["KVM-IRQFD-12"]);
  },

  /** irqfd_inject, which a worker does: until a call waits for that the PIC may not have the interrupt yet. */
  inject(k: Kernel, irqfd: Irqfd): void {
    const { vm, gsi, resampler } = irqfd;
    if (!(vm.irqchip instanceof KernelIrqchip)) return;
    vm.underWay.add(irqfd);
    if (resampler) {
      k.irqchip.setIrq(vm, gsi, IRQ_SOURCE.RESAMPLE, true);
      return;
    }
    k.irqchip.setIrq(vm, gsi, IRQ_SOURCE.USERSPACE, true);
    k.irqchip.setIrq(vm, gsi, IRQ_SOURCE.USERSPACE, false);
    k.keeps(rule["KVM-IRQFD-14"]);
  },

  /** kvm_irqfd_deassign */
  *deassign(k: Kernel, vm: Vm, { fd, gsi }: IrqfdRequest): Operation<void> {
    const counter = eventfdOf(k, fd, rule["KVM-IRQFD-17"], rule["KVM-IRQFD-18"]);
    using _ = yield* k.lock(vm.irqfdsLock);
    const going = vm.irqfds.filter((irqfd) => irqfd.counter === counter && irqfd.gsi === gsi);
    for (const irqfd of going) k.irqfd.shutdown(k, irqfd);
    k.irqfd.flushCleanup(k);
    k.keeps(going.length > 0 ? rule["KVM-IRQFD-19"] : rule["KVM-IRQFD-20"]);
  },

  /** kvm_irqfd_release, when the VM's file is closed */
  *releaseVm(k: Kernel, vm: Vm): Operation<void> {
    using _ = yield* k.lock(vm.irqfdsLock);
    if (vm.irqfds.length > 0) k.keeps(rule["KVM-IRQFD-21"]);
    for (const irqfd of [...vm.irqfds]) k.irqfd.shutdown(k, irqfd);
    k.irqfd.flushCleanup(k);
  },

  /** irqfd_deactivate and irqfd_shutdown */
  shutdown(k: Kernel, irqfd: Irqfd): void {
    const { vm, counter } = irqfd;
    vm.irqfds.splice(vm.irqfds.indexOf(irqfd), 1);
    counter.leave(irqfd);
    if (irqfd.resampler) k.irqfd.shutdownResampler(k, irqfd);
    k.irqBypass.unregisterConsumer(k, irqfd);
  },

  /** irqfd_resampler_shutdown: with the last of its eventfds the interrupt is asserted no more. */
  shutdownResampler(k: Kernel, irqfd: Irqfd): void {
    const { vm, gsi } = irqfd;
    if (vm.irqfds.some((other) => other.resampler && other.gsi === gsi)) return;
    vm.underWay.add(irqfd);
    k.irqchip.setIrq(vm, gsi, IRQ_SOURCE.RESAMPLE, false);
    k.keeps(rule["KVM-IRQFD-15"]);
  },

  /** flush_workqueue of what shuts irqfds down, of every VM: with them goes what they had under way. */
  flushCleanup({ vms }: Kernel): void {
    for (const { irqfds, underWay } of vms) {
      for (const irqfd of underWay) if (!irqfds.includes(irqfd)) underWay.delete(irqfd);
    }
  },
};
