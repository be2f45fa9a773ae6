/** Calls about virtual IOMMUs of mocks, as scenarios write them. */
import { MOCK_START } from "../model/iommufd/selftest/mock-device.ts";
import { PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Fields, Place, Value } from "../model/program.ts";
import { allocIoas, ioctl, openIommufd } from "./calls.ts";
import { mock, replace, test } from "./mocks.ts";
import { allocHwpt, NEST_PARENT } from "./page-table-calls.ts";

export const VIOMMU = { since: "6.17", kconfig: ["IOMMUFD", "IOMMUFD_TEST"], mock: true } as const;
export const SELFTEST = 0xdead_beef;
const SELFTEST_EVENTS = 0xbeef_beef;
const SELFTEST_TABLE = 0xdead;
export const CACHED = 0xba_ddad;
export const MAX_DEPTH = 2 ** 19;
export const POLLIN = 0x41;

export const at = (place?: Place) => (place === undefined ? {} : { place });

/** Makes a virtual IOMMU on a parent; fields may say otherwise. */
export const allocViommu = (hwpt: Value, fields: Fields = {}, name = "@viommu", place?: Place): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_VIOMMU_ALLOC",
    { size: 40, type: SELFTEST, dev_id: "@devid", hwpt_id: hwpt, ...fields },
    { binds: { out_viommu_id: name }, ...at(place) },
  );
/** The same, for nothing to come of it. */
export const refusedViommu = (hwpt: Value, fields: Fields = {}, place?: Place): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_VIOMMU_ALLOC",
    { size: 40, type: SELFTEST, dev_id: "@devid", hwpt_id: hwpt, ...fields },
    at(place),
  );
export const data = (length: number, place?: Place): Fields => ({
  data_len: length,
  data_uptr: { fields: { in_data: 0x5a5a }, ...at(place) },
});

/** A device joins by a virtual id. */
export const join = (device: Value, virt_id: number, name = "@vdevice"): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_VDEVICE_ALLOC",
    { size: 24, viommu_id: "@viommu", dev_id: device, virt_id },
    { binds: { out_vdevice_id: name } },
  );
export const refusedJoin = (fields: Fields, place?: Place): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_VDEVICE_ALLOC",
    { size: 24, viommu_id: "@viommu", dev_id: "@devid", virt_id: 2, ...fields },
    at(place),
  );

export const allocQueue = (fields: Fields = {}, name = "@veventq"): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_VEVENTQ_ALLOC",
    { size: 32, viommu_id: "@viommu", type: SELFTEST_EVENTS, veventq_depth: 2, ...fields },
    { binds: { out_veventq_id: name, out_veventq_fd: `@vevent-queue${name.slice("@veventq".length)}` } },
  );
export const refusedQueue = (fields: Fields, place?: Place): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_VEVENTQ_ALLOC",
    { size: 32, viommu_id: "@viommu", type: SELFTEST_EVENTS, veventq_depth: 2, ...fields },
    at(place),
  );

/** A hardware queue at an address of the parent's. */
export const hwQueue = (index: number, nesting_parent_iova: number, length: number): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_HW_QUEUE_ALLOC",
    { size: 40, viommu_id: "@viommu", type: SELFTEST, index, nesting_parent_iova, length },
    { binds: { out_hw_queue_id: `@hw-queue${index}` } },
  );
export const refusedHwQueue = (fields: Fields, place?: Place): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_HW_QUEUE_ALLOC",
    { size: 40, viommu_id: "@viommu", type: SELFTEST, nesting_parent_iova: MOCK_START, length: PAGE, ...fields },
    at(place),
  );

/** The device has something to tell its VM. */
export const trigger = (device: Value = "@devid"): Call => test("TRIGGER_VEVENT", 0, { dev_id: device });
export const checkCache = (device: Value, cache_id: number, cache: number): Call =>
  test("DEV_CHECK_CACHE", device, { cache_id, cache });

export const tableData: Fields = { data_type: SELFTEST_TABLE, data_len: 4, data_uptr: { fields: { iotlb: 1 } } };

/** A mock, and a page table that others can be nested in. */
export const parent = [
  openIommufd(),
  allocIoas("@iommufd"),
  mock("@ioas"),
  allocHwpt("@devid", "@ioas", { flags: NEST_PARENT }, "@parent"),
];
/** A virtual IOMMU that the mock has joined, and is attached to. */
export const attached = [
  ...parent,
  allocViommu("@parent"),
  join("@devid", 0x99),
  allocHwpt("@devid", "@viommu", tableData, "@nested"),
  replace("@stdev", "@nested"),
];

/** Requests of 12 bytes as the words of those of 8 bytes that the struct is laid out for. */
export const cacheRequests = (
  entries: readonly (readonly [flags: number, device: number, entry: number])[],
): Fields => {
  const words = entries.flat();
  const fields: Record<string, number> = {};
  for (const [i, word] of words.entries()) fields[`${i % 2 === 0 ? "flags" : "iotlb_id"}_${i >> 1}`] = word;
  return { data_uptr: { fields }, data_type: SELFTEST, entry_len: 12, entry_num: entries.length };
};
