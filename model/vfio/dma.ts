/** The mappings of one type1 instance: struct vfio_dma and the tree that holds them. The data structure only. */

import type { Task } from "../kernel/lock.ts";
import { type Mm, PAGE, type Pinner } from "../kernel/mm.ts";

/** What devices may do with the memory of a mapping. */
export interface DmaAccess {
  readonly read: boolean;
  readonly write: boolean;
}

/** struct vfio_dma: the caller's memory at a range of IOVA, both ends included. */
export class Dma implements Pinner {
  readonly iova: bigint;
  readonly last: bigint;
  readonly size: bigint;
  /** Where the memory begins; VFIO_DMA_MAP_FLAG_VADDR changes it. */
  vaddr: bigint;
  /** Whether DMA may write to it. */
  readonly writable: boolean;
  /** Whether DMA may read it. */
  readonly readable: boolean;
  /** Whether the caller had CAP_IPC_LOCK when it was mapped: its pages are counted, but there is no limit. */
  lockCap: boolean;
  /** Whose memory it is. */
  owner: Task;
  /** Pinned, and in the page tables of an IOMMU. */
  iommuMapped = false;
  /** Whose memory was pinned. */
  pinnedIn: Mm;
  /** Where the pinned memory was when it was pinned. */
  pinnedFrom = 0n;
  /** Pages of it that count as locked by the process. */
  lockedPages = 0;
  /** VFIO_DMA_UNMAP_FLAG_VADDR has taken the address away, and nobody has given a new one yet. */
  vaddrInvalid = false;
  /** Whether all of it is to be reported as dirty once, however it is used now. */
  dirty = false;

  constructor(iova: bigint, vaddr: bigint, size: bigint, may: DmaAccess, owner: Task) {
    this.iova = iova;
    this.last = iova + size - 1n;
    this.size = size;
    this.vaddr = vaddr;
    this.readable = may.read;
    this.writable = may.write;
    this.lockCap = owner.credentials.has("CAP_IPC_LOCK");
    this.owner = owner;
    this.pinnedIn = owner.mm;
  }

  get pages(): number {
    return Number(this.size >> 12n);
  }

  pins(mm: Mm, address: bigint): boolean {
    if (mm !== this.pinnedIn) return false;
    const offset = mm.physical(address) - mm.physical(this.pinnedFrom);
    return offset >= 0n && offset < BigInt(this.pages) * PAGE;
  }
}

/** Mappings by IOVA; they never overlap. Programs make few, so a list does. */
export class DmaList {
  readonly #all: Dma[] = [];

  get all(): readonly Dma[] {
    return this.#all;
  }

  /** The lowest mapping that has a byte in [start, last]. */
  find(start: bigint, last: bigint): Dma | undefined {
    return this.#all.find((dma) => dma.last >= start && dma.iova <= last);
  }

  /** All mappings that have a byte in [start, last], by IOVA. */
  findAll(start: bigint, last: bigint): Dma[] {
    return this.#all.filter((dma) => dma.last >= start && dma.iova <= last);
  }

  insert(dma: Dma): void {
    const at = this.#all.findIndex(({ iova }) => iova > dma.iova);
    this.#all.splice(at < 0 ? this.#all.length : at, 0, dma);
  }

  remove(dma: Dma): void {
    this.#all.splice(this.#all.indexOf(dma), 1);
  }
}
