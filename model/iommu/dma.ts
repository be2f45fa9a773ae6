/**
 * What a function's DMA meets behind its IOMMU: the memory that is mapped for it, and nothing else. Beside
 * Documentation/driver-api/vfio.rst, and the page tables that drivers/iommu fills.
 */

import { Hwpt } from "../iommufd/objects.ts";
import { Clause, clauses } from "../kernel/clause.ts";
import type { File } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { PageContent } from "../kernel/memory-content.ts";
import { PAGE } from "../kernel/memory-map.ts";
import { Mm } from "../kernel/mm.ts";
import { Unmodelled } from "../kernel/operation.ts";
import { MemfdFile } from "../memfd.ts";
import type { PciFunction } from "../pci/function.ts";
import type { MemoryBus } from "../pci/hardware.ts";
import { Type1 } from "../vfio/type1.ts";

const source = "Documentation/driver-api/vfio.rst:Groups, Devices, and IOMMUs";
const map = "include/uapi/linux/vfio.h:VFIO_IOMMU_MAP_DMA";

export const rule = clauses({
  "IOMMU-DMA-1": {
    rule: "a function reads memory that is mapped to be read, as its owner has it by then",
    source: map,
    observable: "later-call",
  },
  "IOMMU-DMA-2": {
    rule: "a function writes to memory that is mapped to be written",
    source: map,
    observable: "later-call",
  },
  "IOMMU-DMA-3": {
    rule: "where nothing is mapped, or not any more, a function neither reads nor writes",
    source,
    observable: "later-call",
  },
  "IOMMU-DMA-4": {
    rule: "a function doesn't write to what is mapped to be read only",
    source: map,
    observable: "later-call",
  },
  "IOMMU-DMA-5": {
    rule: "a function doesn't read what is mapped to be written only",
    source: map,
    observable: "later-call",
  },
  "IOMMU-DMA-6": {
    rule: "a function that is no bus master neither reads nor writes memory",
    source: "drivers/vfio/pci/vfio_pci_core.c:vfio_pci_core_enable",
    observable: "later-call",
  },
  // Without iommufd no function can be open and attached to nothing.
  "IOMMU-DMA-7": {
    since: "6.2",
    kconfig: ["IOMMUFD"],
    rule: "a function whose group user space owns, and that is attached to nothing, neither reads nor writes memory",
    source: "drivers/iommu/iommu.c:__iommu_group_set_core_domain",
    observable: "later-call",
  },
});

/** What an address that a function puts on the bus leads to. */
export interface Translation {
  /** The process or the file whose memory it is. */
  readonly of: Mm | File;
  /** An address of the process, or an offset in the file. */
  readonly address: bigint;
  readonly readable: boolean;
  readonly writable: boolean;
}

/** A run of bytes of a transfer within a page, and what it leads to, or the clause by which nothing answers. */
interface Piece {
  readonly done: number;
  readonly length: number;
  readonly to: Translation | Clause;
}

export const steps = {
  /** The bus that a function does DMA on. */
  busOf(k: Kernel, pciFunction: PciFunction): MemoryBus {
    return {
      foresee(iova, length) {
        for (const { to, length: part } of k.iommu.pieces(k, pciFunction, iova, length)) {
          if (!(to instanceof Clause)) k.iommu.load(k, to, part);
        }
      },
      read: (iova, length) => k.iommu.dmaRead(k, pciFunction, iova, length),
      write: (iova, bytes) => k.iommu.dmaWrite(k, pciFunction, iova, bytes),
    };
  },

  /** What a function reads: zeros where nothing answers, which is how the emulator's bus ends such a read. */
  dmaRead(k: Kernel, pciFunction: PciFunction, iova: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (const { done, length: part, to } of k.iommu.pieces(k, pciFunction, iova, length)) {
      if (to instanceof Clause) {
        k.keeps(to);
      } else if (!to.readable) {
        k.keeps(rule["IOMMU-DMA-5"]);
      } else {
        bytes.set(k.iommu.load(k, to, part), done);
        k.keeps(rule["IOMMU-DMA-1"]);
      }
    }
    return bytes;
  },

  /** What a function writes: nothing where nothing answers. */
  dmaWrite(k: Kernel, pciFunction: PciFunction, iova: bigint, bytes: Uint8Array): void {
    for (const { done, length, to } of k.iommu.pieces(k, pciFunction, iova, bytes.length)) {
      if (to instanceof Clause) {
        k.keeps(to);
      } else if (!to.writable) {
        k.keeps(rule["IOMMU-DMA-4"]);
      } else {
        k.iommu.contentOf(k, to).write(to.address, bytes.subarray(done, done + length));
        k.keeps(rule["IOMMU-DMA-2"]);
      }
    }
  },

  /** A transfer page by page. */
  pieces(k: Kernel, pciFunction: PciFunction, iova: bigint, length: number): Piece[] {
    const master = k.intrs.isBusMaster(pciFunction);
    const pieces: Piece[] = [];
    for (let done = 0; done < length; ) {
      const at = iova + BigInt(done);
      const part = Math.min(length - done, PAGE - Number(at % BigInt(PAGE)));
      const to = master ? k.iommu.translate(k, pciFunction, at) : rule["IOMMU-DMA-6"];
      pieces.push({ done, length: part, to });
      done += part;
    }
    return pieces;
  },

  /** What an address leads to, by what the function's group is attached to. */
  translate(k: Kernel, { group }: PciFunction, iova: bigint): Translation | Clause {
    const domain = group?.domain ?? "default";
    if (domain === "blocking") return rule["IOMMU-DMA-7"];
    if (domain instanceof Type1) return k.type1.translate(domain, iova) ?? rule["IOMMU-DMA-3"];
    if (domain instanceof Hwpt) return k.ioas.translate(domain.ioas, iova) ?? rule["IOMMU-DMA-3"];
    throw new Unmodelled("DMA that goes through no page table of a user's");
  },

  /** What lies behind an address, within its page. */
  load(k: Kernel, from: Translation, length: number): Uint8Array {
    return k.iommu.contentOf(k, from).read(from.address, length);
  },

  /** The memory that an address leads to. */
  contentOf(_k: Kernel, { of }: Translation): PageContent {
    if (of instanceof Mm || of instanceof MemfdFile) return of.content;
    throw new Unmodelled("DMA to what is no memory");
  },
};
