/** /dev/null, as a program's first three descriptors (drivers/char/mem.c). */
import { refuse } from "./kernel/clause.ts";
import { File, type Transfer } from "./kernel/file.ts";
import type { Kernel } from "./kernel/kernel.ts";
import type { Operation } from "./kernel/operation.ts";
import { rule as vfsRule } from "./kernel/vfs.ts";

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

  override *write(_k: Kernel, { count }: Transfer): Operation<number> {
    return count;
  }
}
