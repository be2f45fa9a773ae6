/**
 * Entries of VT-d's own page tables have the bit that lets first-level tables be present. In second-level ones that is the
 * bit by which devices may read.
 */
import type { Translation } from "../../model/iommu/dma.ts";
import { Clause } from "../../model/kernel/clause.ts";
import type { Deviation } from "./deviation.ts";

export const vtdWriteOnlyReadable: Deviation = {
  id: "vtd-write-only-readable",
  title: "devices read what is mapped to be written only",
  clause: "IOMMU-DMA-5",
  since: "6.1",
  until: "6.19",
  source: "drivers/iommu/intel/iommu.c:__domain_mapping",
  upstream:
    "none found on it; gone with the page tables of 5448c1558f60, iommupt: Add the Intel VT-d second stage page table format",
  evidence: "dma-write-only",
  apply(k, fired) {
    const right = { translate: k.iommu.translate, load: k.iommu.load };
    const opened = new WeakSet<Translation>();
    k.iommu = {
      ...k.iommu,
      translate(kernel, pciFunction, iova) {
        const to = right.translate(kernel, pciFunction, iova);
        if (to instanceof Clause || to.readable || kernel.topology.vtd === null) return to;
        const readable = { ...to, readable: true };
        opened.add(readable);
        return readable;
      },
      load(kernel, from, length) {
        const bytes = right.load(kernel, from, length);
        if (opened.has(from) && bytes.some((byte) => byte !== 0)) fired();
        return bytes;
      },
    };
  },
};
