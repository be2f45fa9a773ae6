/** The mock's virtual IOMMU, and the caches of devices behind it. Beside drivers/iommu/iommufd/selftest.c. */
import type { DriverViommu, IommuOps, UserRequests } from "../../iommu/driver.ts";
import { clauses, must } from "../../kernel/clause.ts";
import { PAGE } from "../../kernel/memory-map.ts";
import { type Operation, Unmodelled } from "../../kernel/operation.ts";
import type { UserBlock } from "../../kernel/user-memory.ts";
import { field, writeValue } from "../../uapi/layout.ts";
import { versionNumber } from "../../uapi/version.ts";
import type { AnyHwpt, IommufdDevice } from "../objects.ts";
import { SELFTEST_VEVENTQ } from "../vevent-queue.ts";
import { SELFTEST_VIOMMU, type Viommu } from "../viommu.ts";
import { SELFTEST, selftestSource, testOp } from "./command.ts";
import { DEVICE_CACHE_DEFAULT, MockDevice } from "./mock-device.ts";
import { MockHwQueues } from "./mock-hw-queue.ts";

const VIOMMU = { ...SELFTEST, since: "6.13" } as const;
const EVENTS = { ...SELFTEST, since: "6.15" } as const;

export const rule = clauses({
  "IOMMUFD-MOCKVIOMMU-1": {
    ...VIOMMU,
    rule: "data for a mock's virtual IOMMU has the length of a struct that some kernel has had, and no more than this one's",
    errno: "EINVAL",
    source: "include/linux/iommu.h:__iommu_copy_struct_from_user",
  },
  "IOMMUFD-MOCKVIOMMU-2": {
    ...VIOMMU,
    rule: "data for a mock's virtual IOMMU must be readable, and writable",
    errno: "EFAULT",
    source: selftestSource("mock_viommu_init"),
  },
  "IOMMUFD-MOCKVIOMMU-3": {
    ...VIOMMU,
    rule: "out_data brings back in_data, and since 6.17 the rest what of the virtual IOMMU can be mapped, and where",
    source: selftestSource("mock_viommu_init"),
    observable: "output",
  },
  "IOMMUFD-MOCKVIOMMU-4": {
    ...VIOMMU,
    rule: "requests to a mock's virtual IOMMU are of the selftests' own type, also where there are none",
    errno: "EINVAL",
    source: selftestSource("mock_viommu_cache_invalidate"),
  },
  "IOMMUFD-MOCKVIOMMU-5": {
    ...VIOMMU,
    rule: "all requests must be readable, or none is carried out",
    errno: "EFAULT",
    source: "include/linux/iommu.h:iommu_copy_struct_from_full_user_array",
  },
  "IOMMUFD-MOCKVIOMMU-6": {
    ...VIOMMU,
    rule: "what a request has behind the selftests' struct must be zero, or none is carried out",
    errno: "E2BIG",
    source: "include/linux/iommu.h:iommu_copy_struct_from_full_user_array",
  },
  "IOMMUFD-MOCKVIOMMU-7": {
    ...VIOMMU,
    rule: "a request has flags that the selftests know",
    errno: "EOPNOTSUPP",
    source: selftestSource("mock_viommu_cache_invalidate"),
    partial: true,
  },
  "IOMMUFD-MOCKVIOMMU-8": {
    ...VIOMMU,
    rule: "a request names an entry of the cache, and a device that has joined by the id that it has there",
    errno: "EINVAL",
    source: selftestSource("mock_viommu_cache_invalidate"),
    partial: true,
  },
  "IOMMUFD-DEVCACHE-1": {
    ...VIOMMU,
    rule: "id must be the id of a bound device",
    errno: "ENOENT",
    source: selftestSource("iommufd_test_dev_check_cache"),
  },
  "IOMMUFD-DEVCACHE-2": {
    ...VIOMMU,
    rule: "the device's cache must have the entry, and the entry hold the number",
    errno: "EINVAL",
    source: selftestSource("iommufd_test_dev_check_cache"),
  },
  "IOMMUFD-DEVCACHE-3": {
    ...VIOMMU,
    rule: "a device's cache holds what it was made with, but for what was invalidated",
    source: selftestSource("iommufd_test_dev_check_cache"),
  },
  "IOMMUFD-MOCKEVENT-1": {
    ...EVENTS,
    rule: "dev_id must be the id of a device that is attached to a page table of a virtual IOMMU, where its id is not 0",
    errno: "ENOENT",
    source: selftestSource("iommufd_test_trigger_vevent"),
  },
  "IOMMUFD-MOCKEVENT-2": {
    ...EVENTS,
    rule: "an event needs a queue of its type",
    errno: "EOPNOTSUPP",
    source: "drivers/iommu/iommufd/driver.c:iommufd_viommu_report_event",
  },
  "IOMMUFD-MOCKEVENT-3": {
    ...EVENTS,
    rule: "an event goes to the queue of its virtual IOMMU and type, and tells the id that the device has there",
    source: "drivers/iommu/iommufd/driver.c:iommufd_viommu_report_event",
    observable: "later-call",
  },
});

/** struct iommu_viommu_selftest: as it was in the beginning, and with what can be mapped. */
const DATA_MIN = 8;
const DATA_SIZE = 24;
const MMAP_LENGTH = 2 * PAGE;
const MMAP_SINCE = versionNumber("6.17");
/** struct iommu_viommu_invalidate_selftest: flags, a device, an entry. */
const REQUEST_SIZE = 12;
/** IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST */
const REQUEST_TYPE = 0xdead_beef;
const INVALIDATE_ALL = 1;

/** struct mock_viommu */
class MockViommu implements DriverViommu {
  readonly hwQueues = new MockHwQueues();
  readonly #viommu: Viommu;
  /** Where what can be mapped of it is offered. */
  readonly #offset: number | null;

  constructor(viommu: Viommu, offset: number | null) {
    this.#viommu = viommu;
    this.#offset = offset;
  }

  trace(): number {
    return this.#offset ?? 0;
  }

  destroy(): void {
    if (this.#offset !== null) this.#viommu.context.mmaps.free(this.#offset);
  }

  invalidate(requests: UserRequests, handled: () => void): void {
    const { type, count, entryLength } = requests;
    must(type === REQUEST_TYPE, rule["IOMMUFD-MOCKVIOMMU-4"]);
    if (count > 0) checkRequests(requests);
    for (let i = 0; i < count; i++) {
      const word = (n: number): number => wordOf(requests.block, i * entryLength, entryLength, 4 * n);
      const [flags, virtualId, entry] = [word(0), word(1), word(2)];
      must((flags & ~INVALIDATE_ALL) === 0, rule["IOMMUFD-MOCKVIOMMU-7"]);
      const device = this.#viommu.vdevices.get(BigInt(virtualId))?.device.device;
      must(device instanceof MockDevice && entry < device.cache.length, rule["IOMMUFD-MOCKVIOMMU-8"]);
      if (flags & INVALIDATE_ALL) device.cache.fill(0);
      else device.cache[entry] = 0;
      handled();
    }
  }
}

/** iommu_copy_struct_from_full_user_array: at once where the requests are of the right length, else one after the other. */
function checkRequests({ block, count, entryLength }: UserRequests): void {
  if (entryLength === REQUEST_SIZE) {
    block.copyFrom(count * REQUEST_SIZE, rule["IOMMUFD-MOCKVIOMMU-5"]);
    return;
  }
  for (let from = 0; from < count * entryLength; from += entryLength) {
    for (let at = from + REQUEST_SIZE; at < from + entryLength; at++) {
      block.copyFrom(at + 1, rule["IOMMUFD-MOCKVIOMMU-5"], at);
      must(block.bytes[at] === 0, rule["IOMMUFD-MOCKVIOMMU-6"]);
    }
    block.copyFrom(from + Math.min(entryLength, REQUEST_SIZE), rule["IOMMUFD-MOCKVIOMMU-5"], from);
  }
}

/** A word of a struct of which only `length` bytes are there; zeros stand for the rest. */
function wordOf(block: UserBlock, from: number, length: number, at: number): number {
  let value = 0;
  for (let i = 0; i < 4 && at + i < length; i++) value += (block.bytes[from + at + i] ?? 0) * 2 ** (8 * i);
  return value;
}

export const mockViommu: NonNullable<IommuOps["viommu"]> = {
  type: SELFTEST_VIOMMU,

  init(k, viommu, data) {
    if (!data) return new MockViommu(viommu, null);
    const { length, block } = data;
    const size = k.version >= MMAP_SINCE ? DATA_SIZE : DATA_MIN;
    must(length >= DATA_MIN && length <= size, rule["IOMMUFD-MOCKVIOMMU-1"]);
    block.copyFrom(length, rule["IOMMUFD-MOCKVIOMMU-2"]);
    k.alloc();
    const offset = k.version >= MMAP_SINCE ? viommu.context.mmaps.alloc(viommu, MMAP_LENGTH) : null;
    const own = new MockViommu(viommu, offset);
    const image = new Uint8Array(DATA_SIZE);
    const view = new DataView(image.buffer);
    for (const at of [0, 4]) writeValue(view, at, 4, block.u32(0));
    writeValue(view, 8, 8, offset ?? 0);
    writeValue(view, 16, 8, MMAP_LENGTH);
    try {
      block.copyTo(image, 0, length, rule["IOMMUFD-MOCKVIOMMU-2"]);
    } catch (refusal) {
      own.destroy();
      throw refusal;
    }
    k.keeps(rule["IOMMUFD-MOCKVIOMMU-3"]);
    return own;
  },
};

testOp("DEV_CHECK_CACHE", {
  op: 16,
  since: "6.13",
  id: field.id("devid"),
  fields: { cache_id: field.value32(0, 1, 2, 3, 4), cache: field.value32(DEVICE_CACHE_DEFAULT, 0, 0, 1) },
  useful: (_k, { context }) => context.some("vdevice"),
  *run(k, { context }, { block }): Operation<number> {
    using bound = k.iommufdDevice.get(context, block.u32(8), rule["IOMMUFD-DEVCACHE-1"]);
    const { device } = bound;
    if (!(device instanceof MockDevice)) throw new Unmodelled("a device that the selftests take for a mock");
    must(device.cache[block.u32(16)] === block.u32(20), rule["IOMMUFD-DEVCACHE-2"]);
    k.keeps(rule["IOMMUFD-DEVCACHE-3"]);
    return 0;
  },
});

testOp("TRIGGER_VEVENT", {
  op: 17,
  since: "6.15",
  fields: { dev_id: field.id("devid") },
  useful: (_k, { context }) => context.some("veventq"),
  *run(k, { context }, { block }): Operation<number> {
    using bound = k.iommufdDevice.get(context, block.u32(16), rule["IOMMUFD-MOCKEVENT-1"]);
    const { device } = bound;
    if (!(device instanceof MockDevice)) throw new Unmodelled("a device that the selftests take for a mock");
    must(device.viommu !== null && device.viommu.virtualId !== 0n, rule["IOMMUFD-MOCKEVENT-1"]);
    const { viommu, virtualId } = device.viommu;
    using _ = yield* k.lock(viommu.veventqsRwsem);
    const queue = viommu.queues.find(({ type }) => type === SELFTEST_VEVENTQ);
    must(queue !== undefined, rule["IOMMUFD-MOCKEVENT-2"]);
    const data = new Uint8Array(4);
    writeValue(new DataView(data.buffer), 0, 4, virtualId & 0xffff_ffffn);
    k.iommufdDevice.deliverVevent(k, queue, data);
    k.keeps(rule["IOMMUFD-MOCKEVENT-3"]);
    return 0;
  },
});

export const steps = {
  /** mock_domain_nop_attach: a mock remembers the virtual IOMMU of the page table that it is attached to. */
  noteViommu({ device }: IommufdDevice, hwpt: AnyHwpt | null, virtualId: bigint | null): void {
    if (!(device instanceof MockDevice)) return;
    const viommu = hwpt?.kind === "nested" ? hwpt.viommu : null;
    device.viommu = viommu && virtualId !== null ? { viommu, virtualId } : null;
  },
};
