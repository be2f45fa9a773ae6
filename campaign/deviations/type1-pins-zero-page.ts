/**
 * Private memory that was mapped read-only before anything was written to it is pinned as the zero page: what the process
 * then writes is on a page of its own, and devices go on reading zeros.
 */

import type { Translation } from "../../model/iommu/dma.ts";
import { PAGE } from "../../model/kernel/mm.ts";
import type { Dma } from "../../model/vfio/dma.ts";
import type { Deviation } from "./deviation.ts";

export const type1PinsZeroPage: Deviation = {
  id: "type1-pins-zero-page",
  title: "devices read zeros from memory that was mapped read-only before it was written",
  clause: "IOMMU-DMA-1",
  since: "6.1",
  until: "6.1",
  source: "mm/gup.c:__get_user_pages",
  upstream: "fixed by 84209e87c696, mm/gup: reliable R/O long-term pinning in COW mappings (6.2)",
  evidence: "dma-zero-page",
  apply(k, fired) {
    const right = { pin: k.type1.pin, translate: k.type1.translate, load: k.iommu.load };
    /** Pages of mappings that were nobody's own when they were pinned, by their addresses. */
    const zeroPages = new WeakMap<Dma, ReadonlySet<bigint>>();
    const zeros = new WeakSet<Translation>();
    k.type1 = {
      ...k.type1,
      *pin(kernel, dma) {
        yield* right.pin(kernel, dma);
        if (dma.writable || !kernel.mm.reach(dma.vaddr, 1).anonymous) return;
        const pages = Array.from({ length: dma.pages }, (_, at) => dma.vaddr + BigInt(at) * PAGE);
        zeroPages.set(dma, new Set(pages.filter((address) => kernel.mm.ownPages(address, 1) === 0)));
      },
      translate(iommu, iova) {
        const to = right.translate(iommu, iova);
        const dma = iommu.dmas.find(iova, iova);
        if (to && dma && zeroPages.get(dma)?.has(to.address - (to.address % PAGE))) zeros.add(to);
        return to;
      },
    };
    k.iommu = {
      ...k.iommu,
      load(kernel, from, length) {
        const bytes = right.load(kernel, from, length);
        if (!zeros.has(from) || bytes.every((byte) => byte === 0)) return bytes;
        fired();
        return new Uint8Array(length);
      },
    };
  },
};
