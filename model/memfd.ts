/** Files that are memory: what memfd_create(2) brings. Beside mm/memfd.c. */

import { refuse } from "./kernel/clause.ts";
import { File } from "./kernel/file.ts";
import { type Operation, Unmodelled } from "./kernel/operation.ts";
import { rule as vfsRule } from "./kernel/vfs.ts";

/** Programs make theirs with a size that stays; what is in it nobody asks. */
export class MemfdFile extends File {
  readonly kind = "memfd";
  /** Bytes of it, as ftruncate(2) has set them. */
  readonly size: number;

  constructor(size: number) {
    super(2);
    this.size = size;
  }

  override ioctl(): Operation<number> {
    return refuse(vfsRule["VFS-IOCTL-1"]);
  }

  override read(): Operation<number> {
    throw new Unmodelled("what is in a memfd");
  }

  override write(): Operation<number> {
    throw new Unmodelled("what is in a memfd");
  }

  override mmap(): Operation<number> {
    throw new Unmodelled("what is in a memfd");
  }
}
