/**
 * The memory that descriptors reach: what is mapped in the address space that their PASID stands for. Beside the series' way of
 * it, where the IOMMU translates: there is nothing to be told of invalidations, since nothing is kept.
 */
import { clauses } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { PAGE } from "../../kernel/mm.ts";
import { Unmodelled } from "../../kernel/operation.ts";
import type { VfioDevice } from "../../vfio/device.ts";
import type { HostPasid } from "./host.ts";
import { IDXD, LINE_MAIL } from "./sources.ts";

export const rule = clauses({
  "IDXD-DMA-1": {
    ...IDXD,
    rule: "descriptors reach what is mapped where their device, or their PASID, is attached, and nothing else: once an unmap has returned, not what it unmapped",
    source: LINE_MAIL,
    observable: "later-call",
  },
});

/** Memory of the process behind addresses of a device, in one piece. */
export interface Span {
  readonly address: bigint;
  readonly length: number;
}

/** A mapping that covers an address: where that leads, and how far the mapping goes on from there. */
export interface Translation {
  readonly address: bigint;
  readonly length: bigint;
  readonly writable: boolean;
}

export const memorySteps = {
  /** What an address leads to; undefined where nothing is mapped there, or may not be read. */
  translate(_k: Kernel, device: VfioDevice, pasid: HostPasid, iova: bigint): Translation | undefined {
    if (pasid.access === null && device.openedWith === "container") {
      const dma = device.group.container?.iommu?.dmas.find(iova, iova);
      if (!dma) return undefined;
      if (dma.vaddrInvalid) throw new Unmodelled("memory whose address was taken away");
      const { vaddr, last, writable } = dma;
      return { address: vaddr + iova - dma.iova, length: last - iova + 1n, writable };
    }
    const pagetable = (pasid.access ?? device.iommufdAccess)?.ioas?.pagetable;
    const area = pagetable?.firstArea(iova, iova);
    if (!area?.ready || !area.readable) return undefined;
    if (area.pages.file) throw new Unmodelled("what a file holds");
    return {
      address: area.address + iova - area.start,
      length: area.last - iova + 1n,
      writable: area.writable,
    };
  },

  /** The memory from an address on, as far as it is mapped without a gap and may be used so. */
  reachable(k: Kernel, device: VfioDevice, pasid: HostPasid, iova: bigint, length: number, write: boolean): Span[] {
    const spans: Span[] = [];
    let done = 0;
    while (done < length) {
      const found = k.idxd.translate(k, device, pasid, BigInt.asUintN(64, iova + BigInt(done)));
      if (!found || (write && !found.writable)) break;
      const wanted = Math.min(length - done, Number(found.length));
      const there = present(k, found.address, wanted, write);
      if (there > 0) spans.push({ address: found.address, length: there });
      done += there;
      if (there < wanted) break;
    }
    if (done > 0) k.keeps(rule["IDXD-DMA-1"]);
    return spans;
  },

  readMemory({ mm }: Kernel, spans: readonly Span[]): Uint8Array {
    const bytes = new Uint8Array(lengthOf(spans));
    let at = 0;
    for (const { address, length } of spans) {
      bytes.set(mm.content.read(address, length), at);
      at += length;
    }
    return bytes;
  },

  writeMemory({ mm }: Kernel, spans: readonly Span[], bytes: Uint8Array): void {
    mm.forgetPresence();
    let at = 0;
    for (const { address, length } of spans) {
      mm.content.write(address, bytes.subarray(at, at + length));
      at += length;
    }
  },
};

/** Bytes of several spans. */
export function lengthOf(spans: readonly Span[]): number {
  return spans.reduce((sum, { length }) => sum + length, 0);
}

/** How many of these bytes there are in the process's memory, before anything is changed. */
function present({ mm }: Kernel, address: bigint, length: number, write: boolean): number {
  const offset = address & (PAGE - 1n);
  const pages = Number((offset + BigInt(length) + PAGE - 1n) / PAGE);
  const reach = mm.reach(address - offset, pages);
  if (reach.pages === 0 || (write && !reach.writable)) return 0;
  if (!mm.content.has(address)) throw new Unmodelled("what memory holds that is not the program's own");
  return Math.min(length, Number(BigInt(reach.pages) * PAGE - offset));
}
