/** Calls about PASIDs of mocks, as scenarios write them. */
import type { Call, Fields, Place, Value } from "../model/program.ts";
import { allocIoas, openIommufd } from "./calls.ts";
import { test } from "./mocks.ts";
import { allocHwpt, NEST_PARENT, PASID } from "./page-table-calls.ts";

export const WITH_PASIDS = { since: "6.15", kconfig: ["IOMMUFD", "IOMMUFD_TEST"], mock: true } as const;
/** MOCK_FLAGS_DEVICE_* */
export const NO_DIRTY = 1;
export const HAS_PASIDS = 4;
export const NESTED: Fields = { data_type: 0xdead, data_len: 4, data_uptr: { fields: { iotlb: 0x0bad_beef } } };

/** A mock with these flags; it goes by the number that its handles get. */
export const flaggedMock = (pt: Value, dev_flags: number, n: number | "" = ""): Call =>
  test(
    "MOCK_DOMAIN_FLAGS",
    pt,
    { dev_flags },
    { binds: { out_stdev_id: `@stdev${n}`, out_hwpt_id: `@hwpt${n}`, out_idev_id: `@devid${n}` } },
  );

const at = (place?: Place) => (place === undefined ? {} : { place });

export const attachPasid = (pasid: number, pt_id: Value, stdev: Value = "@stdev", place?: Place): Call =>
  test("PASID_ATTACH", stdev, { pasid, pt_id }, at(place));
export const replacePasid = (pasid: number, pt_id: Value, stdev: Value = "@stdev", place?: Place): Call =>
  test("PASID_REPLACE", stdev, { pasid, pt_id }, at(place));
export const detachPasid = (pasid: number, stdev: Value = "@stdev"): Call => test("PASID_DETACH", stdev, { pasid });
/** Whether the PASID is attached to an hwpt, or to none where that is 0. */
export const checkPasid = (pasid: number, hwpt_id: Value, stdev: Value = "@stdev"): Call =>
  test("PASID_CHECK_HWPT", stdev, { pasid, hwpt_id });

/** A mock with PASIDs, and page tables for them: `@s2` of the IOAS, `@nested` and `@nested1`; `@parent` is not for PASIDs. */
export const withPasids: readonly Call[] = [
  openIommufd(),
  allocIoas("@iommufd"),
  flaggedMock("@ioas", HAS_PASIDS),
  allocHwpt("@devid", "@ioas", { flags: NEST_PARENT }, "@parent"),
  allocHwpt("@devid", "@parent", { ...NESTED, flags: PASID }, "@nested"),
  allocHwpt("@devid", "@parent", { ...NESTED, flags: PASID }, "@nested1"),
  allocHwpt("@devid", "@ioas", { flags: PASID }, "@s2"),
];
