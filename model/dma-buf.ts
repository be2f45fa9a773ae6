/** Buffers that drivers share: files of memory, or of registers, that one driver lends to others. Beside drivers/dma-buf/dma-buf.c. */
import type { Pages } from "./iommufd/area.ts";
import { type Clause, clauses, must, refuse } from "./kernel/clause.ts";
import { File } from "./kernel/file.ts";
import { type Argument, dispatch, type Ioctl, ioctl } from "./kernel/ioctl.ts";
import type { Kernel } from "./kernel/kernel.ts";
import { Lock, LockClass } from "./kernel/lock.ts";
import type { Operation } from "./kernel/operation.ts";
import { rule as vfsRule } from "./kernel/vfs.ts";
import { field, layout } from "./uapi/layout.ts";
import { POLL } from "./uapi/poll.ts";

const source = (name: string) => `drivers/dma-buf/dma-buf.c:${name}`;

export const rule = clauses({
  "DMABUF-1": {
    rule: "a buffer that its driver gives to no CPU can't be mapped",
    errno: "EINVAL",
    source: source("dma_buf_mmap_internal"),
    since: "6.19",
  },
  "DMABUF-2": {
    rule: "a buffer that no device works on can be read and written at any time",
    source: source("dma_buf_poll"),
    since: "6.19",
    observable: "output",
  },
  "DMABUF-3": {
    rule: "the struct of a synchronisation must be readable",
    errno: "EFAULT",
    source: source("dma_buf_ioctl"),
    since: "6.19",
  },
  "DMABUF-4": {
    rule: "a synchronisation is for reading, for writing or for both, and its flags are known",
    errno: "EINVAL",
    source: "include/uapi/linux/dma-buf.h:dma_buf_sync",
    since: "6.19",
  },
  "DMABUF-5": {
    rule: "a buffer that no device works on need not be waited for, also where it was taken back",
    source: source("dma_buf_ioctl"),
    since: "6.19",
  },
  "DMABUF-6": {
    rule: "a name must be readable",
    errno: "EFAULT",
    source: source("dma_buf_set_name"),
    since: "6.19",
  },
  "DMABUF-7": {
    rule: "a name has 31 bytes at the most",
    errno: "EINVAL",
    source: "include/uapi/linux/dma-buf.h:DMA_BUF_SET_NAME",
    since: "6.19",
  },
  "DMABUF-8": {
    rule: "a buffer can be named, whoever has it",
    source: "include/uapi/linux/dma-buf.h:DMA_BUF_SET_NAME",
    since: "6.19",
  },
  "DMABUF-9": {
    rule: "a buffer has no position: it is asked for its begin and its end",
    errno: "EINVAL",
    source: source("dma_buf_llseek"),
    since: "6.19",
  },
  "DMABUF-10": {
    rule: "nothing but its begin and its end can be asked for",
    errno: "EINVAL",
    source: source("dma_buf_llseek"),
    since: "6.19",
  },
  "DMABUF-11": {
    rule: "the end of a buffer is its size, also where it was taken back",
    source: source("dma_buf_llseek"),
    since: "6.19",
    observable: "output",
  },
});

/** What lseek(2) counts from. */
export const SEEK = { SET: 0, CUR: 1, END: 2 } as const;

const [WRITE, SIZE, TYPE] = [1 << 30, 16, "b".charCodeAt(0) << 8];
/** _IOW('b', nr, size) */
const request = (nr: number, size: number): number => WRITE | (size << SIZE) | TYPE | nr;

const SYNC_RW = 3;
const SYNC_END = 4;

export const dmaBufSync: Ioctl<DmaBufFile> = ioctl<DmaBufFile>({
  name: "DMA_BUF_IOCTL_SYNC",
  request: request(0, 8),
  argument: {
    kind: "struct",
    layout: layout("dma_buf_sync", { flags: field.value64(SYNC_RW, 1, 2, SYNC_RW | SYNC_END, 0, SYNC_END, 8) }),
  },
  on: ["dma-buf"],
  since: "6.19",
  *run(k, _file, { block }): Operation<number> {
    block.copyFrom(8, rule["DMABUF-3"]);
    const flags = block.u64(0);
    must((flags & ~BigInt(SYNC_RW | SYNC_END)) === 0n && (flags & BigInt(SYNC_RW)) !== 0n, rule["DMABUF-4"]);
    k.keeps(rule["DMABUF-5"]);
    return 0;
  },
});

/** Bytes of a name, with the one that ends it: DMA_BUF_NAME_LEN. */
const NAME_LENGTH = 32;
const FULL = 0x6161_6161_6161_6161n;

/** A name is text, which is given here in pieces of eight bytes. */
const Name = layout("dma_buf_name", {
  name_0: field.value64(0x6261, 0, FULL),
  name_1: field.value64(0, FULL),
  name_2: field.value64(FULL, 0),
  name_3: field.value64(0, FULL),
});

export const dmaBufSetName: Ioctl<DmaBufFile> = ioctl<DmaBufFile>({
  name: "DMA_BUF_SET_NAME_B",
  request: request(1, 8),
  argument: { kind: "struct", layout: Name },
  on: ["dma-buf"],
  since: "6.19",
  *run(k, _file, { block }): Operation<number> {
    const end = block.bytes.subarray(0, NAME_LENGTH).indexOf(0);
    block.copyFrom(end < 0 ? NAME_LENGTH : end + 1, rule["DMABUF-6"]);
    must(end >= 0, rule["DMABUF-7"]);
    k.alloc();
    k.keeps(rule["DMABUF-8"]);
    return 0;
  },
});

/** By what one who wants a buffer's memory is refused. */
export interface Refusals {
  readonly revoked: Clause;
  readonly scattered: Clause;
}

const dmaResv = new LockClass("dma_resv");

/** struct dma_buf, and its file. Each driver has its own kind. */
export abstract class DmaBufFile extends File {
  readonly kind = "dma-buf";
  override readonly positioned = false;
  /** Bytes of it, which are whole pages. */
  readonly size: number;
  /** Whether its driver has taken it back from all who had it, and lends it to nobody. */
  revoked = false;
  /** Who has it, until they give it up: attachments. */
  readonly importers = new Set<Pages>();
  /** Held while it is lent and taken back: resv. */
  readonly lock = new Lock(dmaResv);

  constructor(size: number, mode: number) {
    super(mode);
    this.size = size;
  }

  /** What its driver says to one who wants its memory for an IOMMU: it lends it, or refuses by a clause of theirs. */
  lend({ revoked }: Refusals): void {
    must(!this.revoked, revoked);
  }

  override ioctl(k: Kernel, command: Ioctl, arg: Argument): Operation<number> {
    return dispatch([dmaBufSync, dmaBufSetName], k, this, command, arg) ?? refuse(vfsRule["VFS-IOCTL-1"]);
  }

  override poll(k: Kernel): number {
    k.keeps(rule["DMABUF-2"]);
    return POLL.POLLIN | POLL.POLLOUT;
  }

  override llseek(k: Kernel, offset: number, whence: number): number {
    must(whence === SEEK.SET || whence === SEEK.END, rule["DMABUF-9"]);
    must(offset === 0, rule["DMABUF-10"]);
    k.keeps(rule["DMABUF-11"]);
    return whence === SEEK.END ? this.size : 0;
  }

  override *mmap(): Operation<number> {
    return refuse(rule["DMABUF-1"]);
  }

  /** A number that tells this state of the buffer from others. */
  trace(): number {
    let trace = this.revoked ? 1 : 2;
    for (const { revoked } of this.importers) trace = trace * 3 + (revoked ? 1 : 2);
    return trace;
  }
}
