/** How a PCI function interrupts: what of struct vfio_pci_core_device is about that, and struct vfio_pci_irq_ctx. */
import type { EventCounter } from "../eventfd.ts";
import type { Hardware, Signalling } from "../pci/hardware.ts";
import { PCI_IRQ } from "../vfio/device-info.ts";
import { VirqfdSlot } from "../vfio/virqfd.ts";
import type { IrqBypassProducer } from "../virt/irqbypass.ts";

/** INTx in use. */
export class IntxContext {
  /** Where it is signalled; it may be in use without. */
  trigger: EventCounter | null;
  masked: boolean;
  /** The eventfd that unmasks it. */
  readonly unmask = new VirqfdSlot();

  constructor(trigger: EventCounter | null, masked: boolean) {
    this.trigger = trigger;
    this.masked = masked;
  }
}

/** A vector that is signalled. */
export interface Vector {
  readonly trigger: EventCounter;
  readonly producer: IrqBypassProducer;
}

/** MSI or MSI-X in use. */
export class VectorContext {
  readonly index: typeof PCI_IRQ.MSI | typeof PCI_IRQ.MSIX;
  /** Vectors that were asked for when it was put to use; with MSI-X more may have come since. */
  readonly enabled: number;
  /** Those that are signalled, by their number. */
  readonly signalled = new Map<number, Vector>();

  constructor(index: VectorContext["index"], enabled: number) {
    this.index = index;
    this.enabled = enabled;
  }
}

/** Indexes that are signalled on one eventfd, whatever else is in use. */
export type SingleIndex = typeof PCI_IRQ.ERR | typeof PCI_IRQ.REQ;

export class FunctionIrqs {
  /** What interrupts; null where nobody knows. */
  readonly hardware: Hardware | null;
  /** One of INTx, MSI and MSI-X is in use at a time. */
  intx: IntxContext | null = null;
  vectors: VectorContext | null = null;
  readonly singles: Record<SingleIndex, EventCounter | null> = { [PCI_IRQ.ERR]: null, [PCI_IRQ.REQ]: null };
  /** virq_disabled: the user has turned INTx off in the command register. */
  intxDisabled = false;

  #how: Signalling = "line";

  constructor(hardware: Hardware | null) {
    this.hardware = hardware;
  }

  /** vdev->irq_type: the index in use, or null. */
  get inUse(): number | null {
    return this.intx ? PCI_IRQ.INTX : (this.vectors?.index ?? null);
  }

  /** How the function's own registers have it interrupt. */
  get how(): Signalling {
    return this.#how;
  }

  /** Enables MSI or MSI-X in the function's own registers, or disables both. */
  signalBy(how: Signalling): void {
    this.#how = how;
    this.hardware?.signalBy(how);
  }

  /** A number for all of it. */
  trace(): number {
    const { intx, vectors, singles } = this;
    let hash =
      (singles[PCI_IRQ.ERR] ? 1 : 0) +
      (singles[PCI_IRQ.REQ] ? 2 : 0) +
      (this.intxDisabled ? 4 : 0) +
      (this.#how === "line" ? 0 : 0x10000);
    if (intx) hash += 8 + (intx.trigger ? 16 : 0) + (intx.masked ? 32 : 0) + (intx.unmask.virqfd ? 64 : 0);
    if (!vectors) return hash;
    hash += vectors.index * 128 + vectors.enabled * 512;
    for (const vector of vectors.signalled.keys()) hash = Math.imul(hash ^ (vector + 1), 0x01000193);
    return hash;
  }
}
