/** The mock's hardware queues: two at the most, each of which needs the one before. Beside drivers/iommu/iommufd/selftest.c. */
import { clauses, must } from "../../kernel/clause.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { HwQueue } from "../hw-queue.ts";
import { SELFTEST, selftestSource } from "./command.ts";

const QUEUE = { ...SELFTEST, since: "6.17", source: selftestSource("mock_hw_queue_init_phys") } as const;

export const rule = clauses({
  "IOMMUFD-MOCKQUEUE-1": { ...QUEUE, rule: "a mock has two queues", errno: "EINVAL" },
  "IOMMUFD-MOCKQUEUE-2": { ...QUEUE, rule: "a queue is there once", errno: "EEXIST" },
  "IOMMUFD-MOCKQUEUE-3": { ...QUEUE, rule: "a queue needs the one before it", errno: "EIO" },
  "IOMMUFD-MOCKQUEUE-4": {
    ...QUEUE,
    rule: "the queue before is in use until the next one is gone",
    source: "drivers/iommu/iommufd/driver.c:_iommufd_object_depend",
    observable: "later-call",
  },
});

/** IOMMU_HW_QUEUE_TYPE_SELFTEST */
const TYPE = 0xdead_beef;
/** IOMMU_TEST_HW_QUEUE_MAX */
const MOST = 2;

/** The queues of one of the mock's virtual IOMMUs. */
export class MockHwQueues {
  readonly type = TYPE;
  readonly #queues: (HwQueue | null)[] = Array.from({ length: MOST }, () => null);
  /** Of each queue the one before it. */
  readonly #before = new Map<HwQueue, HwQueue>();

  /** mock_hw_queue_init_phys */
  init(k: Kernel, queue: HwQueue): void {
    const { index } = queue;
    must(index < MOST, rule["IOMMUFD-MOCKQUEUE-1"]);
    must(!this.#queues[index], rule["IOMMUFD-MOCKQUEUE-2"]);
    const before = index > 0 ? this.#queues[index - 1] : null;
    must(index === 0 || before !== null, rule["IOMMUFD-MOCKQUEUE-3"]);
    if (before) {
      before.users++;
      this.#before.set(queue, before);
      k.keeps(rule["IOMMUFD-MOCKQUEUE-4"]);
    }
    this.#queues[index] = queue;
  }

  /** mock_hw_queue_destroy */
  destroy(k: Kernel, queue: HwQueue): void {
    this.#queues[k.selftest.placeOf(queue)] = null;
    const before = this.#before.get(queue);
    if (before) before.users--;
    this.#before.delete(queue);
  }
}

export const steps = {
  /** Which place a queue leaves when it goes. */
  placeOf({ index }: HwQueue): number {
    return index;
  },
};
