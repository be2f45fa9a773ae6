/** Ops that attach, move and detach a PASID of a mock, and look at what it is attached to. Beside drivers/iommu/iommufd/selftest.c. */
import { clauses, must } from "../../kernel/clause.ts";
import type { ChoiceSite } from "../../kernel/kernel.ts";
import type { Operation } from "../../kernel/operation.ts";
import { field } from "../../uapi/layout.ts";
import type { IommufdDevice } from "../objects.ts";
import { respondSize, SELFTEST, selftestSource, testOp } from "./command.ts";
import { MockDevice } from "./mock-device.ts";

const PASID = { ...SELFTEST, since: "6.15" } as const;

export const rule = clauses({
  "IOMMUFD-MOCKPASID-1": {
    ...PASID,
    rule: "the struct must be writable; where it is not, the PASID is not attached",
    errno: "EFAULT",
    source: selftestSource("iommufd_test_pasid_attach"),
  },
  "IOMMUFD-MOCKPASID-2": {
    ...PASID,
    rule: "pt_id brings what a PASID is attached to",
    source: selftestSource("iommufd_test_pasid_attach"),
    observable: "output",
  },
  "IOMMUFD-MOCKPASID-3": {
    ...PASID,
    rule: "the struct must be writable; where it is not, the PASID has moved all the same",
    errno: "EFAULT",
    source: selftestSource("iommufd_test_pasid_replace"),
    partial: true,
  },
  "IOMMUFD-MOCKPASID-4": {
    ...PASID,
    rule: "a PASID that is detached leaves its page table; one that is not attached is left as it is",
    source: selftestSource("iommufd_test_pasid_detach"),
    observable: "later-call",
  },
  "IOMMUFD-MOCKPASID-5": {
    ...PASID,
    rule: "PASID 1024 of a mock fails every second time that it gets a page table, until it is detached",
    errno: "ENOMEM",
    source: selftestSource("mock_domain_set_dev_pasid_nop"),
  },
  "IOMMUFD-PASIDCHECK-1": {
    ...PASID,
    rule: "hwpt_id must be 0 or the id of an object",
    errno: "ENOENT",
    source: selftestSource("iommufd_test_pasid_check_hwpt"),
  },
  "IOMMUFD-PASIDCHECK-2": {
    ...PASID,
    rule: "hwpt_id must be 0 or the id of an hwpt",
    errno: "EINVAL",
    source: selftestSource("iommufd_get_hwpt"),
  },
  "IOMMUFD-PASIDCHECK-3": {
    ...PASID,
    rule: "the PASID must be attached to the hwpt, or to none where hwpt_id is 0",
    errno: "EINVAL",
    source: selftestSource("iommufd_test_pasid_check_hwpt"),
  },
  "IOMMUFD-PASIDCHECK-4": {
    ...PASID,
    rule: "a PASID is attached to what it was attached or moved to last, until it is detached",
    source: selftestSource("iommufd_test_pasid_check_hwpt"),
  },
});

const PASID_AT = 16;
const PT_ID = 20;
const CHOSEN_PT_ID: ChoiceSite = { at: "field", offset: PT_ID, width: 4 };
/** IOMMU_TEST_PASID_RESERVED */
const FAILING_PASID = 1024;
const PASIDS = [1, 1, 1, 2, FAILING_PASID, 0, 0xf_ffff, 0x10_0000] as const;

testOp("PASID_ATTACH", {
  op: 18,
  since: "6.15",
  id: field.id("stdev"),
  fields: { pasid: field.value32(...PASIDS), pt_id: field.id("hwpt", "ioas") },
  useful: (_k, { context }) => context.some("selftest"),
  *run(k, { context }, { block }): Operation<number> {
    const { device } = k.selftest.mock(context, block);
    const pasid = block.u32(PASID_AT);
    const id = yield* k.iommufdDevice.attachDevice(k, device, block.u32(PT_ID), CHOSEN_PT_ID, pasid);
    if (!block.canWrite(respondSize(block))) yield* k.iommufdDevice.detachDevice(k, device, pasid);
    block.put(PT_ID, 4, id, rule["IOMMUFD-MOCKPASID-1"]);
    k.keeps(rule["IOMMUFD-MOCKPASID-2"]);
    return 0;
  },
});

testOp("PASID_REPLACE", {
  op: 19,
  since: "6.15",
  id: field.id("stdev"),
  fields: { pasid: field.value32(...PASIDS), pt_id: field.id("hwpt", "ioas") },
  useful: (_k, { context }) => context.some("selftest"),
  *run(k, { context }, { block }): Operation<number> {
    const { device } = k.selftest.mock(context, block);
    const pasid = block.u32(PASID_AT);
    const id = yield* k.iommufdDevice.replaceDevice(k, device, block.u32(PT_ID), CHOSEN_PT_ID, pasid);
    must(block.canWrite(respondSize(block)), rule["IOMMUFD-MOCKPASID-3"]);
    block.put(PT_ID, 4, id, rule["IOMMUFD-MOCKPASID-3"]);
    k.keeps(rule["IOMMUFD-MOCKPASID-2"]);
    return 0;
  },
});

testOp("PASID_DETACH", {
  op: 20,
  since: "6.15",
  id: field.id("stdev"),
  fields: { pasid: field.value32(...PASIDS) },
  useful: (_k, { context }) => context.some("selftest"),
  *run(k, { context }, { block }): Operation<number> {
    const { device } = k.selftest.mock(context, block);
    yield* k.iommufdDevice.detachDevice(k, device, block.u32(PASID_AT));
    k.keeps(rule["IOMMUFD-MOCKPASID-4"]);
    return 0;
  },
});

testOp("PASID_CHECK_HWPT", {
  op: 21,
  since: "6.15",
  id: field.id("stdev"),
  fields: { pasid: field.value32(...PASIDS), hwpt_id: field.idOrNone("hwpt") },
  useful: (_k, { context }) => context.some("selftest"),
  *run(k, { context }, { block }): Operation<number> {
    const { device } = k.selftest.mock(context, block);
    const attached = device.igroup.attachments.get(block.u32(PASID_AT))?.hwpt;
    const hwptId = block.u32(PT_ID);
    if (hwptId === 0) must(!attached, rule["IOMMUFD-PASIDCHECK-3"]);
    else {
      const hwpt = context.get(hwptId);
      must(hwpt !== undefined, rule["IOMMUFD-PASIDCHECK-1"]);
      must(hwpt.kind === "hwpt" || hwpt.kind === "nested", rule["IOMMUFD-PASIDCHECK-2"]);
      must(hwpt === attached, rule["IOMMUFD-PASIDCHECK-3"]);
    }
    k.keeps(rule["IOMMUFD-PASIDCHECK-4"]);
    return 0;
  },
});

export const steps = {
  /** mock_domain_set_dev_pasid_nop: one PASID fails every second time, for tests of what is done then. */
  takePasid({ device }: IommufdDevice, pasid: number): void {
    if (pasid !== FAILING_PASID || !(device instanceof MockDevice)) return;
    const fails = device.failsPasid;
    device.failsPasid = !fails;
    must(!fails, rule["IOMMUFD-MOCKPASID-5"]);
  },

  /** The same where a PASID is detached. */
  clearPasid({ device }: IommufdDevice, pasid: number): void {
    if (pasid === FAILING_PASID && device instanceof MockDevice) device.failsPasid = false;
  },
};
