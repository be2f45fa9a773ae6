/** Where the interrupts of a VM lead, by their number (GSI). Beside virt/kvm/irqchip.c. */
import { clauses, must, refuse } from "../kernel/clause.ts";
import { ioctl, kvmRequest } from "../kernel/ioctl.ts";
import { BLOCK_SIZE } from "../kernel/memory-map.ts";
import { type Operation, Unmodelled } from "../kernel/operation.ts";
import type { UserBlock } from "../kernel/user-memory.ts";
import { type FieldSpec, field, layout } from "../uapi/layout.ts";
import type { VmFile } from "./kvm.ts";

const source = (name: string) => `virt/kvm/irqchip.c:${name}`;
const api = "Documentation/virt/kvm/api.rst:KVM_SET_GSI_ROUTING";

export const rule = clauses({
  "KVM-ROUTING-1": {
    rule: "the struct must be readable",
    errno: "EFAULT",
    source: "virt/kvm/kvm_main.c:kvm_vm_ioctl",
  },
  "KVM-ROUTING-2": {
    rule: "there must be an interrupt controller in the kernel",
    errno: "EINVAL",
    source: "arch/x86/kvm/irq.c:kvm_arch_can_set_irq_routing",
  },
  "KVM-ROUTING-3": {
    rule: "there are no more entries than KVM_CAP_IRQ_ROUTING says",
    errno: "EINVAL",
    source: "virt/kvm/kvm_main.c:kvm_vm_ioctl",
  },
  "KVM-ROUTING-4": { rule: "there are no flags", errno: "EINVAL", source: api },
  "KVM-ROUTING-5": {
    rule: "the entries must be readable",
    errno: "EFAULT",
    source: "virt/kvm/kvm_main.c:kvm_vm_ioctl",
  },
  "KVM-ROUTING-6": {
    rule: "an interrupt's number is below what KVM_CAP_IRQ_ROUTING says",
    errno: "EINVAL",
    source: source("kvm_set_irq_routing"),
  },
  "KVM-ROUTING-7": { rule: "an entry has no flag but that of an MSI's device", errno: "EINVAL", source: api },
  "KVM-ROUTING-8": {
    rule: "an interrupt leads to one MSI, or to pins of different chips",
    errno: "EINVAL",
    source: source("setup_routing_entry"),
  },
  "KVM-ROUTING-9": {
    rule: "where user space has the PIC and the I/O APIC interrupts lead to MSIs only",
    errno: "EINVAL",
    source: "Documentation/virt/kvm/api.rst:KVM_CAP_SPLIT_IRQCHIP",
  },
  "KVM-ROUTING-10": {
    rule: "chip and pin must be there: two PICs of 8 pins, an I/O APIC of 24",
    errno: "EINVAL",
    source: "arch/x86/kvm/irq.c:kvm_set_routing_entry",
  },
  "KVM-ROUTING-11": {
    rule: "the type must be one of x86",
    errno: "EINVAL",
    source: "arch/x86/kvm/irq.c:kvm_set_routing_entry",
  },
  "KVM-ROUTING-12": {
    rule: "interrupts lead where the entries say, and no others anywhere; irqfds follow",
    source: api,
    observable: "later-call",
  },
});

/** KVM_MAX_IRQ_ROUTES */
export const MAX_IRQ_ROUTES = 4096;

/** struct kvm_kernel_irq_routing_entry */
export type Route =
  | { readonly to: "msi" }
  /** Pins of both PICs are counted through. */
  | { readonly to: "pic" | "ioapic"; readonly pin: number };

/** struct kvm_irq_routing_table */
export type Routes = ReadonlyMap<number, readonly Route[]>;

export const NO_ROUTES: Routes = new Map();

/** default_routing: the first 16 lead to the PIC as well. */
export function defaultRoutes(): Routes {
  const ioapic = (pin: number): Route => ({ to: "ioapic", pin });
  return new Map(
    Array.from({ length: 24 }, (_, pin) => [pin, pin < 16 ? [{ to: "pic", pin }, ioapic(pin)] : [ioapic(pin)]]),
  );
}

/** A number for a table, which is never changed once it is in use. */
export function traceRoutes(routes: Routes): number {
  let trace = traces.get(routes);
  if (trace !== undefined) return trace;
  trace = 0;
  for (const [gsi, leads] of routes) {
    for (const route of leads) {
      const pin = route.to === "msi" ? 0 : route.pin + (route.to === "pic" ? 1 : 32);
      trace = Math.imul(trace ^ (gsi * 64 + pin), 0x01000193);
    }
  }
  traces.set(routes, trace);
  return trace;
}

const traces = new WeakMap<Routes, number>();

export const ROUTING_TYPE = { IRQCHIP: 1, MSI: 2 } as const;
/** Types that kernels have or not: of Hyper-V and of Xen. */
const CONFIGURED_TYPES = [4, 5];
const IRQCHIP = { PIC_MASTER: 0, PIC_SLAVE: 1, IOAPIC: 2 } as const;
const MSI_VALID_DEVID = 1;

/** Entries that generators make at the most. */
export const ENTRIES = 3;
const HEADER = 8;
const ENTRY = 48;
/** An MSI's address in the upper half stands where other entries have the pin. */
const ENTRY_AT = { GSI: 0, TYPE: 4, FLAGS: 8, CHIP: 16, PIN: 20 } as const;
/** Entries whose bytes a block has; what lies behind it is nobody's. */
const MOST_ENTRIES = Math.floor((BLOCK_SIZE - HEADER) / ENTRY);

function entryFields(at: number): Readonly<Record<string, FieldSpec>> {
  return {
    [`gsi_${at}`]: field.value32(5, 24, 25, 9, MAX_IRQ_ROUTES - 1, MAX_IRQ_ROUTES),
    [`type_${at}`]: field.value32(ROUTING_TYPE.MSI, ROUTING_TYPE.IRQCHIP, 0, 3),
    [`flags_${at}`]: field.flags({ KVM_MSI_VALID_DEVID: MSI_VALID_DEVID }, 0, 0, MSI_VALID_DEVID),
    [`pad_${at}`]: field.value32(0),
    ...Object.fromEntries(
      Array.from({ length: 8 }, (_, word) => [`u_${word}_${at}`, field.value32(0, 1, 2, 8, 23, 24)]),
    ),
  };
}

const IrqRouting = layout("kvm_irq_routing", {
  nr: field.value32(1, 2, ENTRIES, 0, MAX_IRQ_ROUTES + 1),
  flags: field.flags(),
  ...Object.assign({}, ...Array.from({ length: ENTRIES }, (_, at) => entryFields(at))),
});

/** setup_routing_entry and kvm_set_routing_entry */
function readEntry(block: UserBlock, at: number, split: boolean, others: readonly Route[]): Route {
  const word = (offset: number): number => block.u32(at + offset);
  const type = word(ENTRY_AT.TYPE);
  const flags = word(ENTRY_AT.FLAGS);
  must((flags & (type === ROUTING_TYPE.MSI ? ~MSI_VALID_DEVID : ~0)) === 0, rule["KVM-ROUTING-7"]);
  const chip = word(ENTRY_AT.CHIP);
  const pin = word(ENTRY_AT.PIN);
  for (const other of others) {
    const apart = type === ROUTING_TYPE.IRQCHIP && other.to !== "msi" && chipOf(other) !== chip;
    must(apart, rule["KVM-ROUTING-8"]);
  }
  if (CONFIGURED_TYPES.includes(type)) throw new Unmodelled("interrupts of Hyper-V and Xen");
  if (type === ROUTING_TYPE.MSI) return { to: "msi" };
  must(type === ROUTING_TYPE.IRQCHIP, rule["KVM-ROUTING-11"]);
  must(!split, rule["KVM-ROUTING-9"]);
  switch (chip) {
    case IRQCHIP.PIC_MASTER:
    case IRQCHIP.PIC_SLAVE:
      must(pin < 8, rule["KVM-ROUTING-10"]);
      return { to: "pic", pin: chip === IRQCHIP.PIC_SLAVE ? pin + 8 : pin };
    case IRQCHIP.IOAPIC:
      must(pin < 24, rule["KVM-ROUTING-10"]);
      return { to: "ioapic", pin };
    default:
      return refuse(rule["KVM-ROUTING-10"]);
  }
}

function chipOf(route: Route & { readonly pin: number }): number {
  if (route.to === "ioapic") return IRQCHIP.IOAPIC;
  return route.pin < 8 ? IRQCHIP.PIC_MASTER : IRQCHIP.PIC_SLAVE;
}

export const setGsiRouting = ioctl<VmFile>({
  name: "KVM_SET_GSI_ROUTING",
  request: kvmRequest(0x6a, 1, HEADER),
  argument: { kind: "struct", layout: IrqRouting },
  on: ["vm"],
  weight: 0.3,
  useful: (_k, { vm }) => vm.irqchip !== null && vm.underWay.size === 0,
  *run(k, { vm }, { block }): Operation<number> {
    block.copyFrom(HEADER, rule["KVM-ROUTING-1"]);
    must(vm.irqchip !== null, rule["KVM-ROUTING-2"]);
    const count = block.u32(0);
    must(count <= MAX_IRQ_ROUTES, rule["KVM-ROUTING-3"]);
    must(block.u32(4) === 0, rule["KVM-ROUTING-4"]);
    block.copyFrom(Math.min(HEADER + count * ENTRY, BLOCK_SIZE), rule["KVM-ROUTING-5"], HEADER);
    if (count > MOST_ENTRIES) throw new Unmodelled(`more than ${MOST_ENTRIES} routes`);
    for (let i = 0; i < count; i++) {
      must(block.u32(HEADER + i * ENTRY + ENTRY_AT.GSI) < MAX_IRQ_ROUTES, rule["KVM-ROUTING-6"]);
    }
    k.alloc();
    const routes = new Map<number, Route[]>();
    for (let i = 0; i < count; i++) {
      const at = HEADER + i * ENTRY;
      const gsi = block.u32(at + ENTRY_AT.GSI);
      const same = routes.get(gsi) ?? [];
      same.push(readEntry(block, at, vm.irqchip === "split", same));
      routes.set(gsi, same);
    }
    if (vm.underWay.size > 0) throw new Unmodelled("interrupts that are on their way to a VM");
    using _ = yield* k.lock(vm.irqLock);
    using __ = yield* k.lock(vm.irqfdsLock);
    vm.routes = routes;
    k.keeps(rule["KVM-ROUTING-12"]);
    return 0;
  },
});
