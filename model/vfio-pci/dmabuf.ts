/** Buffers of a function's BARs, which are lent to others and taken back. Beside drivers/vfio/pci/vfio_pci_dmabuf.c. */
import { DmaBufFile, type Refusals } from "../dma-buf.ts";
import { clauses, must } from "../kernel/clause.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Operation } from "../kernel/operation.ts";
import type { PciFunction } from "../pci/function.ts";
import { locksOf } from "../pci/locks.ts";

export const DMABUF = { since: "6.19", kconfig: ["VFIO_PCI_DMABUF"] } as const;
const source = (name: string) => `drivers/vfio/pci/vfio_pci_dmabuf.c:${name}`;

export const rule = clauses({
  "VFIO-PCI-DMABUF-12": {
    ...DMABUF,
    rule: "buffers are taken back from all who have them where memory stops to answer, be it for the length of a reset, and where the function may sleep",
    source: source("vfio_pci_dma_buf_move"),
    observable: "later-call",
  },
  "VFIO-PCI-DMABUF-13": {
    ...DMABUF,
    rule: "buffers are lent again as soon as memory answers and the function may not sleep",
    source: source("vfio_pci_dma_buf_move"),
    observable: "later-call",
  },
  "VFIO-PCI-DMABUF-14": {
    ...DMABUF,
    rule: "the last close of the function takes its buffers back for good; their descriptors stay, and keep neither it nor its driver",
    source: source("vfio_pci_dma_buf_cleanup"),
    observable: "later-call",
  },
});

/** A part of a region: struct vfio_region_dma_range. */
export interface BufferRange {
  readonly offset: bigint;
  readonly length: bigint;
}

/** struct vfio_pci_dma_buf */
export class FunctionBufferFile extends DmaBufFile {
  /** The function, until its user closes it. */
  lender: PciFunction | null;
  readonly region: number;
  readonly ranges: readonly BufferRange[];

  constructor(lender: PciFunction, region: number, ranges: readonly BufferRange[], mode: number) {
    super(Number(ranges.reduce((size, { length }) => size + length, 0n)), mode);
    this.lender = lender;
    this.region = region;
    this.ranges = ranges;
  }

  /** vfio_pci_dma_buf_iommufd_map */
  override lend(refusals: Refusals): void {
    super.lend(refusals);
    must(this.ranges.length === 1, refusals.scattered);
  }

  /** vfio_pci_dma_buf_release */
  override *release(k: Kernel): Operation<void> {
    if (!this.lender) return;
    const { vfio, buffers } = this.lender;
    using _ = yield* k.lock(locksOf(this.lender).memory);
    buffers.delete(this);
    if (vfio) vfio.registrations--;
  }
}

/** A number for whether a function's buffers are lent. */
export function traceBuffers({ buffers }: PciFunction): number {
  let trace = buffers.size;
  for (const buffer of buffers) trace = trace * 3 + buffer.trace();
  return trace | 0;
}

export const steps = {
  /** Whether others may use the function's memory: whenever its user may, through a mapping. */
  mayLend(k: Kernel, pciFunction: PciFunction): boolean {
    return k.vfioPci.memoryEnabled(pciFunction) && !pciFunction.power.engaged;
  },

  /** vfio_pci_dma_buf_move, to take back. The memory's lock is held. */
  *takeBuffersBack(k: Kernel, { buffers }: PciFunction): Operation<void> {
    for (const buffer of buffers) {
      if (buffer.revoked) continue;
      using _ = yield* k.lock(buffer.lock);
      buffer.revoked = true;
      yield* k.ioas.takeBack(k, buffer);
      k.keeps(rule["VFIO-PCI-DMABUF-12"]);
    }
  },

  /** vfio_pci_dma_buf_move, to lend again what may be lent. */
  returnBuffers(k: Kernel, pciFunction: PciFunction): void {
    if (pciFunction.buffers.size === 0 || !k.vfioPci.mayLend(k, pciFunction)) return;
    for (const buffer of pciFunction.buffers) {
      if (!buffer.revoked) continue;
      buffer.revoked = false;
      k.keeps(rule["VFIO-PCI-DMABUF-13"]);
    }
  },

  /** A function has ended low power by waking up, and may be used as before. */
  returnWoken(k: Kernel, pciFunction: PciFunction): void {
    const revoked = [...pciFunction.buffers].filter((buffer) => buffer.revoked);
    k.undo.push(() => {
      for (const buffer of revoked) buffer.revoked = true;
    });
    k.vfioPci.returnBuffers(k, pciFunction);
  },

  /** vfio_pci_dma_buf_cleanup */
  *closeBuffers(k: Kernel, pciFunction: PciFunction): Operation<void> {
    const { buffers, vfio } = pciFunction;
    if (buffers.size === 0) return;
    using _ = yield* k.lock(locksOf(pciFunction).memory);
    yield* k.vfioPci.takeBuffersBack(k, pciFunction);
    for (const buffer of buffers) {
      buffer.lender = null;
      if (vfio) vfio.registrations--;
    }
    buffers.clear();
    k.keeps(rule["VFIO-PCI-DMABUF-14"]);
  },
};
