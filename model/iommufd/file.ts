/** The file of /dev/iommu. Beside drivers/iommu/iommufd/main.c. */
import { clauses, must } from "../kernel/clause.ts";
import { File } from "../kernel/file.ts";
import type { Argument, Ioctl } from "../kernel/ioctl.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { PAGE } from "../kernel/memory-map.ts";
import type { Operation } from "../kernel/operation.ts";
import type { Accounting } from "./area.ts";
import { IOMMUFD, iommufdSource } from "./availability.ts";
import { IommufdContext } from "./objects.ts";

const source = iommufdSource("main", "iommufd_fops_mmap");

const rule = clauses({
  "IOMMUFD-MMAP-2": {
    ...IOMMUFD,
    rule: "only a shared mapping is possible, for which the file must be open for writing",
    errno: "EINVAL",
    source,
    since: "6.17",
  },
  "IOMMUFD-MMAP-1": {
    ...IOMMUFD,
    rule: "only what a command offered can be mapped, and all of it",
    errno: "ENXIO",
    source,
    since: "6.17",
  },
  "IOMMUFD-MMAP-3": {
    rule: "what is mapped stays so, and keeps in use who offered it, until the mapping ends",
    source,
    since: "6.17",
    kconfig: ["IOMMUFD", "IOMMUFD_TEST"],
    machine: "mock",
    observable: "later-call",
  },
});

/** The file, its context, and what of it is mapped. */
export class IommufdFile extends File {
  readonly kind = "iommufd";
  readonly context: IommufdContext;

  constructor(mode: number, accounting: Accounting = "user") {
    super(mode);
    this.context = new IommufdContext(this, accounting);
  }

  override ioctl(k: Kernel, command: Ioctl, arg: Argument): Operation<number> {
    return k.iommufd.ioctl(k, this, command, arg);
  }

  override release(k: Kernel): Operation<void> {
    return k.iommufd.release(k, this.context);
  }

  /** Who offered what is mapped: each is in use as long as that is. */
  readonly #mapped: { users: number }[] = [];

  override *mmap(k: Kernel, length: number, offset: number, _prot: number, shared: boolean): Operation<number> {
    if (!k.since("6.17")) return k.vfs.noMmap();
    must(shared, rule["IOMMUFD-MMAP-2"]);
    const owner = this.context.mmaps.ownerOf(offset, Math.ceil(length / PAGE) * PAGE);
    must(owner !== undefined, rule["IOMMUFD-MMAP-1"]);
    const address = k.chooseAddress();
    owner.users++;
    this.#mapped.push(owner);
    k.keeps(rule["IOMMUFD-MMAP-3"]);
    return address;
  }

  override munmap(): void {
    const owner = this.#mapped.pop();
    if (owner) owner.users--;
  }
}
