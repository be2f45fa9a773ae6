/** Ops that make a mock device, attach it, move it, and take addresses away from it. Beside drivers/iommu/iommufd/selftest.c. */
import { clauses, must } from "../../kernel/clause.ts";
import type { ChoiceSite, Kernel } from "../../kernel/kernel.ts";
import type { Operation } from "../../kernel/operation.ts";
import type { UserBlock } from "../../kernel/user-memory.ts";
import { field } from "../../uapi/layout.ts";
import { U64_MAX } from "../../uapi/u64.ts";
import type { IommufdFile } from "../file.ts";
import { type IommufdContext, type IommufdDevice, SelftestObject } from "../objects.ts";
import { respondSize, SELFTEST, selftestSource, testOp } from "./command.ts";
import { hasMockIommu, knownFlags, MockDevice } from "./mock-device.ts";

export const rule = clauses({
  "IOMMUFD-MOCK-1": {
    ...SELFTEST,
    rule: "a mock can only be asked for what the kernel's selftests know of",
    errno: "EINVAL",
    source: selftestSource("mock_dev_create"),
    since: "6.7",
  },
  "IOMMUFD-MOCK-2": {
    since: "6.2",
    until: "6.17",
    kconfig: SELFTEST.kconfig,
    rule: "where the machine has an IOMMU its driver is asked for the mock, knows nothing of it, and leaves it without one",
    errno: "EINVAL",
    source: "drivers/iommu/iommu.c:__iommu_probe_device",
  },
  "IOMMUFD-MOCK-3": {
    ...SELFTEST,
    rule: "the struct must be writable; where it is not, no mock is left",
    errno: "EFAULT",
    source: selftestSource("iommufd_test_mock_domain"),
  },
  "IOMMUFD-MOCK-4": {
    ...SELFTEST,
    rule: "a mock is bound and attached at once: out_stdev_id brings its own id, out_idev_id that of the device, out_hwpt_id what it is attached to",
    source: selftestSource("iommufd_test_mock_domain"),
    observable: "output",
  },
  "IOMMUFD-MOCK-5": {
    ...SELFTEST,
    rule: "destroying a mock by its own id detaches and unbinds its device",
    source: selftestSource("iommufd_selftest_destroy"),
    observable: "later-call",
  },
  "IOMMUFD-MOCK-6": {
    ...SELFTEST,
    rule: "only a mock can be moved, by its own id",
    errno: "ENOENT",
    source: selftestSource("iommufd_test_mock_domain_replace"),
    since: "6.6",
  },
  "IOMMUFD-MOCK-7": {
    ...SELFTEST,
    rule: "the struct must be writable; where it is not, the mock has moved all the same",
    errno: "EFAULT",
    source: selftestSource("iommufd_test_mock_domain_replace"),
    since: "6.6",
    partial: true,
  },
  "IOMMUFD-MOCK-8": {
    ...SELFTEST,
    rule: "pt_id brings what a mock has moved to",
    source: selftestSource("iommufd_test_mock_domain_replace"),
    since: "6.6",
    observable: "output",
  },
  "IOMMUFD-RESERVE-1": {
    ...SELFTEST,
    rule: "a range to be reserved must have a length",
    errno: "EINVAL",
    source: selftestSource("iommufd_test_add_reserved"),
  },
  "IOMMUFD-RESERVE-2": {
    ...SELFTEST,
    rule: "a range to be reserved must not run over the end of the address space",
    errno: "EOVERFLOW",
    source: selftestSource("iommufd_test_add_reserved"),
  },
  "IOMMUFD-RESERVE-3": {
    ...SELFTEST,
    rule: "id must be the id of an IOAS",
    errno: "ENOENT",
    source: selftestSource("iommufd_test_add_reserved"),
  },
  "IOMMUFD-RESERVE-4": {
    ...SELFTEST,
    rule: "no range can be reserved where something is mapped",
    errno: "EADDRINUSE",
    source: "drivers/iommu/iommufd/io_pagetable.c:iopt_reserve_iova",
  },
  "IOMMUFD-RESERVE-5": {
    ...SELFTEST,
    rule: "a range stays reserved as long as its IOAS is there, and may lie over others",
    source: selftestSource("iommufd_test_add_reserved"),
    observable: "later-call",
  },
});

const STDEV_ID = 16;
const HWPT_ID = 20;
const IDEV_ID = 24;
const DEV_FLAGS = 28;
const site = (offset: number): ChoiceSite => ({ at: "field", offset, width: 4 });
const CHOSEN_STDEV_ID = site(STDEV_ID);
const CHOSEN_HWPT_ID = site(HWPT_ID);
const CHOSEN_IDEV_ID = site(IDEV_ID);

const outputs = {
  out_stdev_id: field.out32("stdev"),
  out_hwpt_id: field.out32("hwpt"),
  out_idev_id: field.out32("devid"),
};

export const mockDomain = testOp("MOCK_DOMAIN", {
  op: 2,
  since: "6.2",
  id: field.id("ioas", "hwpt"),
  fields: outputs,
  useful: (_k, { context }) => context.someIoas(),
  run: (k, file, { block }) => k.selftest.mockDomain(k, file, block, 0),
});

export const mockDomainFlags = testOp("MOCK_DOMAIN_FLAGS", {
  op: 12,
  since: "6.7",
  id: field.id("ioas", "hwpt"),
  fields: { ...outputs, dev_flags: field.flags({ NO_DIRTY: 1, HUGE_IOVA: 2, PASID: 4 }, 0, 1, 2, 4) },
  useful: (_k, { context }) => context.someIoas(),
  run: (k, file, { block }) => k.selftest.mockDomain(k, file, block, block.u32(DEV_FLAGS)),
});

const PT_ID = 16;
const CHOSEN_PT_ID = site(PT_ID);

export const mockDomainReplace = testOp("MOCK_DOMAIN_REPLACE", {
  op: 10,
  since: "6.6",
  id: field.id("stdev"),
  fields: { pt_id: field.id("ioas", "hwpt") },
  useful: (_k, { context }) => context.some("selftest"),
  *run(k, { context }, { block }): Operation<number> {
    const { device } = k.selftest.mock(context, block);
    const id = yield* k.iommufdDevice.replaceDevice(k, device, block.u32(PT_ID), CHOSEN_PT_ID);
    must(block.canWrite(respondSize(block)), rule["IOMMUFD-MOCK-7"]);
    block.put(PT_ID, 4, id, rule["IOMMUFD-MOCK-7"]);
    k.keeps(rule["IOMMUFD-MOCK-8"]);
    return 0;
  },
});

/** Whom reservations belong to that nobody takes back. */
const NOBODY = {};

export const addReserved = testOp("ADD_RESERVED", {
  op: 1,
  since: "6.2",
  id: field.id("ioas"),
  fields: { start: field.iova(), length: field.length() },
  useful: (_k, { context }) => context.someIoas(),
  *run(k, { context }, { block }): Operation<number> {
    const start = block.u64(16);
    const length = block.u64(24);
    must(length !== 0n, rule["IOMMUFD-RESERVE-1"]);
    const last = start + length - 1n;
    must(last <= U64_MAX, rule["IOMMUFD-RESERVE-2"]);
    using ioas = k.ioas.get(context, block.u32(8), rule["IOMMUFD-RESERVE-3"]);
    using _ = yield* k.lock(ioas.pagetable.iovaRwsem);
    k.ioas.reserveRange(ioas.pagetable, { start, last }, NOBODY, rule["IOMMUFD-RESERVE-4"]);
    k.keeps(rule["IOMMUFD-RESERVE-5"]);
    return 0;
  },
});

export const steps = {
  /** iommufd_test_mock_domain: the mock's id is taken before those of its device and of what it is attached to. */
  *mockDomain(k: Kernel, { context }: IommufdFile, block: UserBlock, flags: number): Operation<number> {
    const id = k.iommufd.chooseId(k, context, CHOSEN_STDEV_ID);
    context.reservedIds.add(id);
    try {
      k.alloc();
      const device = yield* k.selftest.bindMock(k, context, flags);
      try {
        const ptId = yield* k.iommufdDevice.attachDevice(k, device, block.u32(8), CHOSEN_HWPT_ID);
        if (!block.canWrite(respondSize(block))) yield* k.iommufdDevice.detachDevice(k, device);
        block.put(STDEV_ID, 4, id, rule["IOMMUFD-MOCK-3"]);
        block.put(HWPT_ID, 4, ptId, rule["IOMMUFD-MOCK-3"]);
        block.put(IDEV_ID, 4, device.id, rule["IOMMUFD-MOCK-3"]);
      } catch (refusal) {
        yield* k.selftest.unbindMock(k, device);
        throw refusal;
      }
      context.publish(new SelftestObject(device), id);
      k.keeps(rule["IOMMUFD-MOCK-4"]);
      return 0;
    } finally {
      context.reservedIds.delete(id);
    }
  },

  /** mock_dev_create: every mock is alone in a group of its own; one without an IOMMU can't be bound. */
  createMock(k: Kernel, flags: number): MockDevice {
    must((flags & ~knownFlags(k)) === 0, rule["IOMMUFD-MOCK-1"]);
    must(hasMockIommu(k), rule["IOMMUFD-MOCK-2"]);
    return new MockDevice(k, k.iommu.alloc(k), flags);
  },

  /** mock_dev_create and iommufd_device_bind: a mock that can't be bound goes. */
  *bindMock(k: Kernel, context: IommufdContext, flags: number): Operation<IommufdDevice> {
    const mock = k.selftest.createMock(k, flags);
    try {
      return yield* k.iommufdDevice.bindDevice(k, context, mock, CHOSEN_IDEV_ID);
    } catch (refusal) {
      k.iommu.free(k, mock.requireGroup());
      throw refusal;
    }
  },

  /** iommufd_device_unbind and mock_dev_destroy */
  *unbindMock(k: Kernel, device: IommufdDevice): Operation<void> {
    yield* k.iommufdDevice.unbindDevice(k, device);
    k.iommu.free(k, device.igroup.group);
  },

  /** iommufd_test_get_selftest_obj */
  mock(context: IommufdContext, block: UserBlock): SelftestObject {
    const object = context.get(block.u32(8));
    must(object?.kind === "selftest", rule["IOMMUFD-MOCK-6"]);
    return object;
  },

  /** iommufd_selftest_destroy: whatever is attached goes first. */
  *destroyMock(k: Kernel, { device }: SelftestObject): Operation<void> {
    for (const pasid of [...device.igroup.attachments.keys()]) yield* k.iommufdDevice.detachDevice(k, device, pasid);
    yield* k.selftest.unbindMock(k, device);
    k.keeps(rule["IOMMUFD-MOCK-5"]);
  },
};
