/** Buffers that drivers share: files of memory, or of registers, that one driver lends to others. Beside drivers/dma-buf/dma-buf.c. */
import type { Pages } from "./iommufd/area.ts";
import { type Clause, clauses, must, refuse } from "./kernel/clause.ts";
import { File } from "./kernel/file.ts";
import type { Kernel } from "./kernel/kernel.ts";
import { Lock, LockClass } from "./kernel/lock.ts";
import type { Operation } from "./kernel/operation.ts";
import { rule as vfsRule } from "./kernel/vfs.ts";
import { POLL } from "./uapi/poll.ts";

export const rule = clauses({
  "DMABUF-1": {
    rule: "a buffer that its driver gives to no CPU can't be mapped",
    errno: "EINVAL",
    source: "drivers/dma-buf/dma-buf.c:dma_buf_mmap_internal",
    since: "6.19",
    kconfig: ["IOMMUFD_TEST"],
  },
  "DMABUF-2": {
    rule: "a buffer that no device works on can be read and written at any time",
    source: "drivers/dma-buf/dma-buf.c:dma_buf_poll",
    since: "6.19",
    kconfig: ["IOMMUFD_TEST"],
    observable: "output",
  },
});

const dmaResv = new LockClass("dma_resv");

/** struct dma_buf, and its file. */
export class DmaBufFile extends File {
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
  lend(refusedBy: { readonly revoked: Clause }): void {
    must(!this.revoked, refusedBy.revoked);
  }

  override ioctl(): Operation<number> {
    return refuse(vfsRule["VFS-IOCTL-1"]);
  }

  override poll(k: Kernel): number {
    k.keeps(rule["DMABUF-2"]);
    return POLL.POLLIN | POLL.POLLOUT;
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
