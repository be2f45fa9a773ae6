/** The char device of a work queue, for programs of the host: /dev/dsa/wq0.3. Beside drivers/dma/idxd/cdev.c. */
import { clauses, must, refuse } from "../../kernel/clause.ts";
import { File, type Transfer } from "../../kernel/file.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { PAGE } from "../../kernel/memory-map.ts";
import type { Mm } from "../../kernel/mm.ts";
import type { Operation } from "../../kernel/operation.ts";
import { rule as vfsRule } from "../../kernel/vfs.ts";
import type { WorkQueue } from "./host.ts";
import { IDXD, LINE_MAIL } from "./sources.ts";

const source = (name: string): string => `drivers/dma/idxd/cdev.c:${name}`;

export const rule = clauses({
  "IDXD-CDEV-OPEN-1": {
    ...IDXD,
    rule: "only a queue of type user that is enabled has a char device: what guests have no program opens",
    errno: "ENOENT",
    source: LINE_MAIL,
  },
  "IDXD-CDEV-OPEN-2": {
    ...IDXD,
    rule: "a dedicated queue has one file at a time",
    errno: "EBUSY",
    source: source("idxd_cdev_open"),
  },
  "IDXD-CDEV-OPEN-3": {
    ...IDXD,
    rule: "the file is bound to the address space of who opened it by a PASID, of which there must be one left",
    errno: "ENOSPC",
    source: source("idxd_cdev_open"),
  },
  "IDXD-CDEV-WRITE-5": {
    ...IDXD,
    since: "6.10",
    rule: "only the process that opened a queue submits to it",
    errno: "EPERM",
    source: source("idxd_cdev_write"),
    unseen: "what another process of a program does is no write",
  },
  "IDXD-CDEV-MMAP-1": {
    ...IDXD,
    rule: "no more than the one page of the queue's portal can be mapped",
    errno: "EINVAL",
    source: source("check_vma"),
  },
  "IDXD-CDEV-MMAP-2": {
    ...IDXD,
    rule: "the queue's limited portal is mapped, whatever the offset",
    source: source("idxd_cdev_mmap"),
    observable: "internal",
  },
});

/** struct idxd_user_context */
export class QueueFile extends File {
  readonly kind = "wq";
  readonly queue: WorkQueue;
  /** The memory of who opened it, which descriptors reach. */
  readonly #mm: Mm;

  constructor(queue: WorkQueue, mode: number, mm: Mm) {
    super(mode);
    this.queue = queue;
    this.#mm = mm;
  }

  override ioctl(): Operation<number> {
    return refuse(vfsRule["VFS-IOCTL-1"]);
  }

  override poll(): number {
    return 0;
  }

  /** From 6.10 on descriptors can be written, one after the other. */
  override *write(k: Kernel, io: Transfer): Operation<number> {
    if (!k.since("6.10")) return k.vfs.noMethod();
    must(k.mm === this.#mm, rule["IDXD-CDEV-WRITE-5"]);
    return k.idxd.submitAll(k, this.queue, io);
  }

  override *mmap(k: Kernel, length: number): Operation<number> {
    must(length <= PAGE, rule["IDXD-CDEV-MMAP-1"]);
    k.keeps(rule["IDXD-CDEV-MMAP-2"]);
    return k.chooseAddress();
  }

  override *release(k: Kernel): Operation<void> {
    using _ = yield* k.lock(this.queue.lock);
    k.idxd.closeQueue(k, this.queue);
  }
}

export const fileSteps = {
  /** idxd_cdev_open */
  *openQueue(k: Kernel, name: string, mode: number): Operation<QueueFile> {
    const queue = k.accelerator?.queues.find(({ spec }) => spec.name === name);
    must(queue?.driver === "user", queue ? rule["IDXD-CDEV-OPEN-1"] : vfsRule["VFS-OPEN-1"]);
    k.alloc();
    using _ = yield* k.lock(queue.lock);
    must(!queue.dedicated || queue.files === 0, rule["IDXD-CDEV-OPEN-2"]);
    k.idxd.takeProcessPasid(k, queue);
    queue.files++;
    return new QueueFile(queue, mode, k.mm);
  },

  /** iommu_sva_bind_device: one PASID for the process, however many files it has. */
  takeProcessPasid({ accelerator }: Kernel, queue: WorkQueue): void {
    if (!accelerator) return;
    const bound = accelerator.pasids.find(({ owner }) => owner === null);
    if (bound) bound.users++;
    else must(accelerator.freePasids > 0, rule["IDXD-CDEV-OPEN-3"]);
    const pasid = bound ?? accelerator.takePasid(null);
    if (queue.dedicated) queue.pasid = pasid;
  },

  /** idxd_cdev_release */
  closeQueue({ accelerator }: Kernel, queue: WorkQueue): void {
    const bound = accelerator?.pasids.find(({ owner }) => owner === null);
    if (bound) accelerator?.putPasid(bound);
    queue.files--;
    if (queue.dedicated) queue.pasid = null;
  },
};
