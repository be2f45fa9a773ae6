/**
 * What the kernel's own selftests check of PASIDs: the fixture iommufd_device_pasid of iommufd.c, one scenario for every group
 * of its checks. docs/selftests-iommufd.md says which scenario stands for which check.
 */

import type { Call } from "../model/program.ts";
import { allocIoas, destroy } from "./calls.ts";
import { replace, test } from "./mocks.ts";
import { allocFaultQueue, allocHwpt, DIRTY_TRACKING, FAULT_ID_VALID, PASID, track } from "./page-table-calls.ts";
import {
  attachPasid,
  checkPasid,
  detachPasid,
  flaggedMock,
  HAS_PASIDS,
  NESTED,
  NO_DIRTY,
  replacePasid,
  WITH_PASIDS,
  withPasids,
} from "./pasid-calls.ts";
import { gives, refused, type Scenario, type Step, scenario } from "./scenario.ts";

const pasidTest = (id: string, title: string, steps: readonly (Call | Step)[]): Scenario =>
  scenario({ id: `selftest-pasid-${id}`, title, needs: WITH_PASIDS, steps: [...withPasids, ...steps] });

export const PASID_SELFTESTS: readonly Scenario[] = [
  pasidTest("detach-none", "a PASID that is not attached is left as it is", [detachPasid(100), checkPasid(100, 0)]),
  pasidTest(
    "with-device",
    "a device and its PASIDs are attached to page tables for PASIDs, or only one of the two is",
    [
      replace("@stdev", "@parent"),
      refused("EINVAL", attachPasid(100, "@s2")),
      replace("@stdev", "@s2"),
      attachPasid(100, "@nested"),
      refused("EINVAL", replace("@stdev", "@parent")),
      detachPasid(100),
      checkPasid(100, 0),
    ],
  ),
  pasidTest("of-none", "a mock without PASIDs takes page tables for PASIDs, and its PASIDs take none", [
    flaggedMock("@ioas", 0, 1),
    replace("@stdev1", "@nested"),
    replace("@stdev1", "@ioas"),
    refused("EINVAL", attachPasid(100, "@parent", "@stdev1")),
    refused("EINVAL", attachPasid(100, "@s2", "@stdev1")),
    replace("@stdev1", "@s2"),
    refused("EINVAL", attachPasid(100, "@s2", "@stdev1")),
  ]),
  pasidTest("attach", "a PASID is attached to a page table for PASIDs, and to no other", [
    replace("@stdev", "@s2"),
    refused("EINVAL", attachPasid(100, "@parent")),
    checkPasid(100, 0),
    refused("EINVAL", attachPasid(100, "@ioas")),
    checkPasid(100, 0),
    attachPasid(100, "@s2"),
    checkPasid(100, "@s2"),
    refused("EBUSY", attachPasid(100, "@nested")),
    detachPasid(100),
    checkPasid(100, 0),
    attachPasid(100, "@nested"),
    checkPasid(100, "@nested"),
    refused("EBUSY", attachPasid(100, "@nested")),
    detachPasid(100),
  ]),
  pasidTest("replace", "a PASID that is attached moves to another page table for PASIDs", [
    replace("@stdev", "@s2"),
    refused("EINVAL", replacePasid(200, "@s2")),
    attachPasid(200, "@s2"),
    checkPasid(200, "@s2"),
    refused("EINVAL", replacePasid(200, "@ioas")),
    checkPasid(200, "@s2"),
    replacePasid(200, "@nested"),
    checkPasid(200, "@nested"),
    replacePasid(200, "@nested1"),
    checkPasid(200, "@nested1"),
    detachPasid(200),
  ]),
  pasidTest("replace-fails", "a PASID whose move fails in the IOMMU's driver stays where it is", [
    replace("@stdev", "@s2"),
    attachPasid(1024, "@s2"),
    checkPasid(1024, "@s2"),
    refused("ENOMEM", replacePasid(1024, "@nested")),
    checkPasid(1024, "@s2"),
    detachPasid(1024),
  ]),
  pasidTest("faults", "faults of a PASID go to the queue of its page table", [
    allocFaultQueue(),
    allocHwpt("@devid", "@parent", { ...NESTED, flags: FAULT_ID_VALID | PASID, fault_id: "@fault" }, "@iopf"),
    replace("@stdev", "@s2"),
    attachPasid(2048, "@iopf"),
    checkPasid(2048, "@iopf"),
    test("TRIGGER_IOPF", 0, { dev_id: "@devid", pasid: 2048, perm: 1, grpid: 2, addr: 0xdeadbeaf }),
    gives(40, { op: "read", fd: "@fault-queue", count: 40 }),
    gives(8, { op: "write", fd: "@fault-queue", count: 8, bytes: [1] }),
    replacePasid(2048, "@s2"),
    checkPasid(2048, "@s2"),
    detachPasid(2048),
    destroy("@iommufd", "@iopf"),
    replace("@stdev", "@ioas"),
  ]),
  pasidTest("dirty-tracking", "a page table for PASIDs can tell what was written", [
    allocHwpt("@devid", "@ioas", { flags: DIRTY_TRACKING | PASID }, "@telling"),
    flaggedMock("@telling", HAS_PASIDS, 1),
    attachPasid(100, "@telling", "@stdev1"),
    track("@telling", 1),
    track("@telling", 0),
    detachPasid(100, "@stdev1"),
    destroy("@iommufd", "@stdev1"),
    allocIoas("@iommufd", "@ioas1"),
    flaggedMock("@ioas1", HAS_PASIDS | NO_DIRTY, 2),
    refused("EINVAL", attachPasid(100, "@telling", "@stdev2")),
    destroy("@iommufd", "@stdev2"),
    destroy("@iommufd", "@telling"),
  ]),
];
