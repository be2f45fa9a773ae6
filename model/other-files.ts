/** Files that are none of VFIO's: event descriptors, and /dev/null as a program's first three descriptors. */
import { refuse } from "./kernel/clause.ts";
import { File } from "./kernel/file.ts";
import type { Kernel } from "./kernel/kernel.ts";
import { type Operation, Unmodelled } from "./kernel/operation.ts";
import { rule as vfsRule } from "./kernel/vfs.ts";

export class EventFile extends File {
  readonly kind = "eventfd";
  override readonly positioned = false;

  constructor() {
    super(2);
  }

  override ioctl(): Operation<number> {
    return refuse(vfsRule["VFS-IOCTL-1"]);
  }

  override *read(): Operation<number> {
    throw new Unmodelled("reading an eventfd");
  }

  override *write(): Operation<number> {
    throw new Unmodelled("writing an eventfd");
  }
}

/** /dev/null (drivers/char/mem.c). */
export class NullFile extends File {
  readonly kind = "null";

  constructor() {
    super(2);
  }

  override ioctl(): Operation<number> {
    return refuse(vfsRule["VFS-IOCTL-1"]);
  }

  override *read(): Operation<number> {
    return 0;
  }

  override *write(_k: Kernel, count: number): Operation<number> {
    return count;
  }
}
