/** Page tables of user space. Beside drivers/iommu/iommufd/iommufd_private.h. */
import type { IommuDriver } from "../iommu/device.ts";
import type { NestedTable } from "../iommu/driver.ts";
import type { FaultQueue } from "./fault-queue.ts";
import { Counted, type Hwpt } from "./objects.ts";
import type { Viommu } from "./viommu.ts";

/** A hardware page table that user space manages: what it leads to is translated once more by its parent. */
export class NestedHwpt extends Counted {
  readonly kind = "nested";
  readonly auto = false;
  readonly parent: Hwpt;
  readonly table: NestedTable;
  readonly forPasids: boolean;
  /** The virtual IOMMU that it is made for, which then is what it uses. */
  readonly viommu: Viommu | null;
  fault: FaultQueue | null = null;

  constructor(parent: Hwpt, table: NestedTable, forPasids: boolean, viommu: Viommu | null = null) {
    super(parent.context);
    this.parent = parent;
    this.table = table;
    this.forPasids = forPasids;
    this.viommu = viommu;
    this.base.users++;
  }

  /** What it is nested in. */
  get base(): Hwpt | Viommu {
    return this.viommu ?? this.parent;
  }

  get paging(): Hwpt {
    return this.parent;
  }

  get driver(): IommuDriver {
    return this.parent.driver;
  }

  override trace(): number {
    return this.parent.id * 31 + this.table.trace();
  }
}
