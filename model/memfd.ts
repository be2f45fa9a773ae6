/** Files that are memory: what memfd_create(2) brings. Beside mm/memfd.c and mm/shmem.c. */

import { clauses, must, refuse } from "./kernel/clause.ts";
import { File, O_RDWR, type Transfer } from "./kernel/file.ts";
import type { Kernel } from "./kernel/kernel.ts";
import { PageContent } from "./kernel/memory-content.ts";
import { PAGE } from "./kernel/memory-map.ts";
import { type Operation, Unmodelled } from "./kernel/operation.ts";
import { rule as vfsRule } from "./kernel/vfs.ts";

const SEALED = { since: "6.13", source: "include/uapi/linux/fcntl.h:F_SEAL_WRITE" } as const;

export const rule = clauses({
  "MEMFD-1": {
    rule: "a read brings what was last written there, through whichever way, and zeros where nothing was; behind the end there is nothing",
    source: "mm/shmem.c:shmem_file_read_iter",
    observable: "output",
  },
  "MEMFD-2": {
    rule: "there must be room for a byte of what is read; as much is read as there is room for",
    errno: "EFAULT",
    source: "mm/shmem.c:shmem_file_read_iter",
  },
  "MEMFD-3": {
    rule: "a byte of what is written must be there; as much is written as is there, and the file grows where it ends before",
    errno: "EFAULT",
    source: "mm/filemap.c:generic_perform_write",
  },
  "MEMFD-4": { ...SEALED, rule: "a file that is sealed against writing can't be written to", errno: "EPERM" },
  "MEMFD-5": {
    ...SEALED,
    rule: "a file that is sealed against writing can't be mapped to be written to",
    errno: "EPERM",
  },
});

const PROT_WRITE = 2;

export class MemfdFile extends File {
  readonly kind = "memfd";
  /** Bytes of it: as ftruncate(2) has set them, or as far as it was written. */
  size: number;
  readonly content = new PageContent();
  /** Whether nobody may write to it: F_SEAL_WRITE. */
  readonly sealed: boolean;
  /** Where read and write go on. */
  position = 0;

  constructor(size: number, sealed = false) {
    super(O_RDWR);
    this.size = size;
    this.sealed = sealed;
  }

  override ioctl(): Operation<number> {
    return refuse(vfsRule["VFS-IOCTL-1"]);
  }

  override *read(k: Kernel, { block, count, offset }: Transfer): Operation<number> {
    const from = offset ?? this.position;
    const there = Math.min(count, Math.max(this.size - from, 0));
    const length = Math.min(there, block.writable);
    must(there === 0 || length > 0, rule["MEMFD-2"]);
    block.bytes.set(this.content.read(BigInt(from), length));
    if (offset === null) this.position += length;
    k.keeps(rule["MEMFD-1"]);
    return length;
  }

  override *write(k: Kernel, { block, count, offset }: Transfer): Operation<number> {
    if (count === 0) return 0;
    must(!this.sealed, rule["MEMFD-4"]);
    const at = offset ?? this.position;
    // A page is had at a time, and those that were had are written.
    if (k.memory.failed && at % PAGE > PAGE - count) throw new Unmodelled("how much is written before memory runs out");
    k.alloc();
    const length = Math.min(count, block.readable);
    must(length > 0, rule["MEMFD-3"]);
    this.content.write(BigInt(at), block.bytes.slice(0, length));
    this.size = Math.max(this.size, at + length);
    if (offset === null) this.position += length;
    return length;
  }

  override *mmap(k: Kernel, _length: number, _offset: number, prot: number): Operation<number> {
    must(!this.sealed || (prot & PROT_WRITE) === 0, rule["MEMFD-5"]);
    return k.chooseAddress();
  }

  /** A number that tells this state of the file from others. */
  trace(): number {
    return (this.size * 31 + this.position) * 31 + this.content.writes;
  }
}
