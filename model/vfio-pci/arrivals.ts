/** Interrupts that functions raise by themselves, up to the eventfds. Beside drivers/vfio/pci/vfio_pci_intrs.c. */
import { EventFile } from "../eventfd.ts";
import { clauses } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { Unmodelled } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import type { Hardware } from "../pci/hardware.ts";
import { COMMAND } from "./config-perms.ts";
import type { FunctionIrqs } from "./function-irqs.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_intrs.c:${name}`;

export const rule = clauses({
  "VFIO-PCI-INTX-1": {
    rule: "INTx that the function pulls is signalled once, and masked until it is unmasked",
    source: source("vfio_intx_handler"),
    observable: "later-call",
  },
  "VFIO-PCI-INTX-2": {
    rule: "INTx that the function pulls is not signalled while it is masked",
    source: source("vfio_intx_handler"),
    observable: "later-call",
  },
  "VFIO-PCI-INTX-3": {
    rule: "INTx that is unmasked while the function pulls it is signalled once more, and stays masked",
    source: source("vfio_pci_intx_unmask_handler"),
    observable: "later-call",
  },
  "VFIO-PCI-MSI-1": {
    rule: "each message of a function is signalled once on the vector's eventfd",
    source: source("vfio_msihandler"),
    observable: "later-call",
  },
  "VFIO-PCI-MSI-3": {
    rule: "a message signals the eventfd of its own vector, and of no other",
    source: source("vfio_msi_set_vector_signal"),
    observable: "later-call",
  },
  "VFIO-PCI-MSI-2": {
    rule: "messages are writes of the function's: none leaves it until the user has made it a bus master",
    source: "drivers/vfio/pci/vfio_pci_core.c:vfio_pci_core_enable",
    observable: "later-call",
  },
});

const mayPull = ({ line }: Hardware): boolean => line !== false;

export const steps = {
  /** Whether what comes of an interrupt can be told: asked before anything has changed. */
  foreseeInterrupt(k: Kernel, pciFunction: PciFunction, vector: number): void {
    const { irqs, power } = pciFunction;
    if (power.engaged) throw new Unmodelled("interrupts of a function that may sleep");
    if (irqs.vectors && irqs.how !== "line") {
      if (irqs.vectors.signalled.has(vector)) return;
      // A vector of MSI-X that nobody uses is masked, and its message waits in the function.
      if (irqs.how === "msix" || k.intrs.isBusMaster(pciFunction))
        throw new Unmodelled("a message that nobody waits for");
      return;
    }
    k.intrs.foreseeLine(k, pciFunction);
    k.intrs.foreseeUnmasking(irqs);
  },

  /** A line may be shared, and the kernel gives up one that is pulled when nobody knows by whom. */
  foreseeLine(k: Kernel, pciFunction: PciFunction): void {
    for (const other of k.functions) {
      if (other !== pciFunction && other.irqs.intx) throw new Unmodelled("a line that another function may share");
    }
  },

  /** INTx that is pulled when it is put to use: QEMU's I/O APIC has forgotten that, where hardware looks at the line. */
  foreseePulled({ hardware, intxDisabled }: FunctionIrqs): void {
    if (hardware && mayPull(hardware) && !intxDisabled) {
      throw new Unmodelled("a line that was pulled before anybody listened");
    }
  },

  /** Messages that are enabled for a moment make a function let go of its line. */
  foreseeMoment({ hardware }: FunctionIrqs): void {
    if (hardware && mayPull(hardware)) throw new Unmodelled("a line while messages are enabled for a moment");
  },

  /** A line of which nobody knows whether it is still pulled. */
  foreseeLevel({ hardware }: FunctionIrqs): void {
    if (hardware?.line === null) throw new Unmodelled("whether a line is still pulled after a reset");
  },

  /** INTx that unmasks itself is signalled for ever while the function pulls it. */
  foreseeUnmasking({ intx }: FunctionIrqs): void {
    if (intx?.trigger && intx.trigger === intx.unmask.virqfd?.counter) {
      throw new Unmodelled("an interrupt that unmasks itself");
    }
  },

  /** The same of an eventfd that is to signal INTx, or to unmask it. */
  foreseeEventfd(k: Kernel, pciFunction: PciFunction, fd: number, role: "signals" | "unmasks"): void {
    const { intx, hardware } = pciFunction.irqs;
    for (const other of k.functions) {
      if (other !== pciFunction && other.hardware && mayPull(other.hardware)) {
        throw new Unmodelled("a line that another function may share");
      }
    }
    if (intx) k.intrs.foreseeLevel(pciFunction.irqs);
    const file = k.fds.get(fd);
    if (!hardware?.line || !intx || !(file instanceof EventFile)) return;
    const other = role === "signals" ? intx.unmask.virqfd?.counter : intx.trigger;
    if (other === file.counter) throw new Unmodelled("an interrupt that unmasks itself");
  },

  isBusMaster({ config }: PciFunction): boolean {
    return config !== null && ((config.physical[COMMAND.AT] ?? 0) & COMMAND.MASTER) !== 0;
  },

  /** vfio_intx_handler, where the function pulls its line */
  intxArrives(k: Kernel, irqs: FunctionIrqs): void {
    const { intx, hardware } = irqs;
    if (!hardware?.line || !intx) return;
    if (intx.masked) {
      k.keeps(rule["VFIO-PCI-INTX-2"]);
      return;
    }
    intx.masked = true;
    if (intx.trigger) k.keeps(rule["VFIO-PCI-INTX-1"]);
    k.intrs.sendIntx(irqs);
  },

  /** vfio_msihandler */
  messageArrives(k: Kernel, pciFunction: PciFunction, vector: number): void {
    if (!k.intrs.isBusMaster(pciFunction)) {
      k.keeps(rule["VFIO-PCI-MSI-2"]);
      return;
    }
    pciFunction.irqs.vectors?.signalled.get(vector)?.trigger.signal();
    k.keeps(rule[vector > 0 ? "VFIO-PCI-MSI-3" : "VFIO-PCI-MSI-1"]);
  },

  /** vfio_send_intx_eventfd */
  sendIntx({ intx, intxDisabled }: FunctionIrqs): void {
    if (!intxDisabled) intx?.trigger?.signal();
  },

  /** vfio_pci_intx_unmask_handler */
  unmask(k: Kernel, irqs: FunctionIrqs): void {
    const { intx, intxDisabled } = irqs;
    if (!intx?.masked || intxDisabled) return;
    k.intrs.foreseeLevel(irqs);
    intx.masked = irqs.hardware?.line ?? false;
    if (!intx.masked) return;
    k.keeps(rule["VFIO-PCI-INTX-3"]);
    k.intrs.sendIntx(irqs);
  },
};
