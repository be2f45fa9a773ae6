/** MSI and MSI-X of a PCI function: vectors, each signalled on an eventfd. Beside drivers/vfio/pci/vfio_pci_intrs.c. */
import { type EventCounter, eventfdOf } from "../eventfd.ts";
import { clauses, must, Refusal } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import { locksOf } from "../pci/locks.ts";
import { PCI_IRQ } from "../vfio/device-info.ts";
import { IRQ_SET, type IrqSetRequest } from "../vfio/irqs.ts";
import { IrqBypassProducer } from "../virt/irqbypass.ts";
import { rule as configRule } from "./config-writes.ts";
import { type FunctionIrqs, VectorContext } from "./function-irqs.ts";

const source = (name: string) => `drivers/vfio/pci/vfio_pci_intrs.c:${name}`;
const header = "include/uapi/linux/vfio.h:VFIO_DEVICE_SET_IRQS";
/** A block of vectors that fails is undone by taking the eventfds away, not by bringing the former ones back. */
const undone = { source: source("vfio_msi_set_block"), partial: true } as const;

export const rule = clauses({
  "VFIO-PCI-SETIRQS-14": {
    rule: "MSI or MSI-X is not put to use, raised or ended while INTx or the other is in use",
    errno: "EINVAL",
    source: source("vfio_pci_set_msi_trigger"),
  },
  "VFIO-PCI-SETIRQS-15": {
    rule: "MSI or MSI-X can be raised by hand, or ended, while it is in use",
    errno: "EINVAL",
    source: source("vfio_pci_set_msi_trigger"),
  },
  "VFIO-PCI-SETIRQS-16": {
    rule: "MSI or MSI-X is put to use with one vector or more",
    errno: "ERANGE",
    source: "drivers/pci/msi/msi.c:__pci_enable_msix_range",
  },
  "VFIO-PCI-SETIRQS-17": {
    rule: "where fewer vectors are to be had, none is set up, and the call gives how many there are",
    source: source("vfio_msi_enable"),
    unseen: "the suite's machines have vectors enough for all of their functions",
  },
  "VFIO-PCI-SETIRQS-18": {
    rule: "only vectors that were set up when MSI-X or MSI was put to use can be set or raised",
    errno: "EINVAL",
    source: source("vfio_msi_set_block"),
    until: "6.4",
  },
  "VFIO-PCI-SETIRQS-19": {
    ...undone,
    rule: "an MSI vector that was not set up with the others can't be; those before it in the call lose theirs",
    errno: "EINVAL",
    since: "6.5",
    unseen: "no function of the suite's machines has more than one MSI vector",
  },
  "VFIO-PCI-SETIRQS-20": {
    ...undone,
    rule: "a vector's eventfd must be an open descriptor; else it and those before it in the call have none from then on",
    errno: "EBADF",
  },
  "VFIO-PCI-SETIRQS-21": {
    ...undone,
    rule: "a vector's eventfd must be one; else it and those before it in the call have none from then on",
    errno: "EINVAL",
  },
  "VFIO-PCI-SETIRQS-22": {
    rule: "the type is in use from now on, with the vectors up to the last that was asked for",
    source: header,
    observable: "later-call",
  },
  "VFIO-PCI-SETIRQS-23": {
    rule: "each vector is signalled on its eventfd; -1 ends that for one vector",
    source: header,
    observable: "later-call",
  },
  "VFIO-PCI-SETIRQS-24": {
    rule: "MSI-X vectors that were not set up with the others are set up once they get an eventfd",
    source: source("vfio_msi_alloc_irq"),
    since: "6.5",
    observable: "later-call",
  },
  "VFIO-PCI-SETIRQS-25": {
    rule: "vectors that are raised by hand are signalled on their eventfds, where they have some",
    source: header,
    observable: "later-call",
  },
  "VFIO-PCI-SETIRQS-26": {
    rule: "a count of 0 ends the use of MSI or MSI-X",
    source: header,
    observable: "later-call",
  },
});

type MsiIndex = VectorContext["index"];

export const steps = {
  /** vfio_pci_set_msi_trigger */
  *triggerVectors(k: Kernel, pciFunction: PciFunction, index: MsiIndex, request: IrqSetRequest): Operation<void> {
    const { irqs } = pciFunction;
    const { flags, start, count, data } = request;
    if (irqs.inUse === index && count === 0 && flags & IRQ_SET.NONE) {
      yield* k.intrs.disableVectors(k, pciFunction);
      return;
    }
    must(irqs.inUse === null || irqs.inUse === index, rule["VFIO-PCI-SETIRQS-14"]);
    const { vectors } = irqs;
    if (flags & IRQ_SET.EVENTFD) {
      if (vectors) {
        using _ = yield* k.lock(locksOf(pciFunction).memory);
        k.intrs.setBlock(k, vectors, request);
      } else {
        yield* k.intrs.enableVectors(k, pciFunction, index, request);
      }
      return;
    }
    must(vectors !== null, rule["VFIO-PCI-SETIRQS-15"]);
    if (!k.since("6.5")) must(start + count <= vectors.enabled, rule["VFIO-PCI-SETIRQS-18"]);
    for (let i = 0; i < count; i++) {
      if (data[i] === 0) continue;
      const vector = vectors.signalled.get(start + i);
      if (!vector) continue;
      vector.trigger.signal();
      k.keeps(rule["VFIO-PCI-SETIRQS-25"]);
    }
  },

  /** vfio_msi_enable, and what vfio_pci_set_msi_trigger does around it */
  *enableVectors(k: Kernel, pciFunction: PciFunction, index: MsiIndex, request: IrqSetRequest): Operation<void> {
    const { start, count } = request;
    using _ = yield* k.lock(locksOf(pciFunction).memory);
    must(start + count > 0, rule["VFIO-PCI-SETIRQS-16"]);
    k.alloc();
    must(k.vfioPci.isAwake(pciFunction), configRule["VFIO-PCI-CONFIG-23"]);
    const vectors = new VectorContext(index, start + count);
    try {
      k.intrs.setBlock(k, vectors, request);
    } catch (refusal) {
      if (refusal instanceof Refusal) k.intrs.foreseeMoment(pciFunction.irqs);
      throw refusal;
    }
    pciFunction.irqs.vectors = vectors;
    pciFunction.irqs.signalBy(index === PCI_IRQ.MSI ? "msi" : "msix");
    k.keeps(rule["VFIO-PCI-SETIRQS-22"]);
  },

  /** vfio_msi_set_block */
  setBlock(k: Kernel, vectors: VectorContext, { start, count, data }: IrqSetRequest): void {
    // Until vectors could be added the block had to lie within those set up, and to begin there even where it is empty.
    if (!k.since("6.5")) {
      must(start < vectors.enabled && start + count <= vectors.enabled, rule["VFIO-PCI-SETIRQS-18"]);
    }
    if (data.length > 0) k.alloc();
    for (const [i, fd] of data.entries()) {
      try {
        k.intrs.setVector(k, vectors, start + i, fd);
      } catch (refusal) {
        if (refusal instanceof Refusal) k.intrs.unwindBlock(k, vectors, start, start + i);
        throw refusal;
      }
    }
  },

  /** What a block that fails leaves: nothing from its first vector up to the one that failed. */
  unwindBlock(k: Kernel, vectors: VectorContext, first: number, failed: number): void {
    for (let vector = first; vector <= failed; vector++) k.intrs.endVector(k, vectors, vector);
  },

  /** vfio_msi_set_vector_signal */
  setVector(k: Kernel, vectors: VectorContext, vector: number, fd: number): void {
    k.intrs.endVector(k, vectors, vector);
    if (fd >= 0) {
      const beyond = vector >= vectors.enabled;
      must(!beyond || vectors.index === PCI_IRQ.MSIX, rule["VFIO-PCI-SETIRQS-19"]);
      const trigger = k.intrs.vectorEventfd(k, fd);
      const producer = new IrqBypassProducer();
      vectors.signalled.set(vector, { trigger, producer });
      k.irqBypass.registerProducer(k, producer, trigger);
      if (beyond) k.keeps(rule["VFIO-PCI-SETIRQS-24"]);
    }
    k.keeps(rule["VFIO-PCI-SETIRQS-23"]);
  },

  /** What vfio_msi_set_vector_signal does first: the vector is signalled no more, where it was. */
  endVector(k: Kernel, { signalled }: VectorContext, vector: number): void {
    const ended = signalled.get(vector);
    if (!ended) return;
    k.irqBypass.unregisterProducer(k, ended.producer);
    signalled.delete(vector);
  },

  vectorEventfd(k: Kernel, fd: number): EventCounter {
    return eventfdOf(k, fd, rule["VFIO-PCI-SETIRQS-20"], rule["VFIO-PCI-SETIRQS-21"]);
  },

  /** vfio_msi_disable */
  *disableVectors(k: Kernel, pciFunction: PciFunction): Operation<void> {
    const { irqs }: { readonly irqs: FunctionIrqs } = pciFunction;
    if (!irqs.vectors) return;
    using _ = yield* k.lock(locksOf(pciFunction).memory);
    for (const vector of [...irqs.vectors.signalled.keys()]) k.intrs.endVector(k, irqs.vectors, vector);
    irqs.vectors = null;
    irqs.signalBy("line");
    k.keeps(rule["VFIO-PCI-SETIRQS-26"]);
  },
};
