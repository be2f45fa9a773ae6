/** Page tables of mocks: nested ones with their caches, and those that tell what was written. */
import { MOCK_START as START } from "../model/iommufd/selftest/mock-device.ts";
import { PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Fields, FieldValue, Place, Value } from "../model/program.ts";
import { allocIoas, destroy, ioctl, map, openIommufd, unmap } from "./calls.ts";
import { mock, replace, test } from "./mocks.ts";
import {
  allocHwpt,
  bitmap,
  DIRTY_TRACKING,
  FAULT_ID_VALID,
  hwInfo,
  invalidate,
  NEST_PARENT,
  refusedHwpt,
  track,
} from "./page-table-calls.ts";
import { refused, type Scenario, scenario } from "./scenario.ts";

const MOCK = { since: "6.8", kconfig: ["IOMMUFD", "IOMMUFD_TEST"], mock: true } as const;
const IO_PAGE = 2048;
const SELFTEST = 0xdead;
const CACHED = 0x0bad_beef;

/** A mock that is attached to an IOAS. */
const attached = [openIommufd(), allocIoas("@iommufd"), mock("@ioas")];
/** A page of memory besides, and a page table that can tell what was written. */
const logging = [
  ...attached,
  map("@iommufd", "@ioas", START, PAGE),
  allocHwpt("@devid", "@ioas", { flags: DIRTY_TRACKING }),
];
/** The same while it is told. */
const tracked = [...logging, track("@table", 1)];

const tableData = (length: number, fields: Fields = { iotlb: CACHED }, place?: Place): Fields => ({
  data_type: SELFTEST,
  data_len: length,
  data_uptr: place === undefined ? { fields } : { fields, place },
});
/** A page table that is nested in another. */
const nest = (parent: Value, name: string): Call => allocHwpt("@devid", parent, tableData(4), name);

const checkCache = (hwpt: Value, id: number, iotlb: number): Call => test("MD_CHECK_IOTLB", hwpt, { id_1: id, iotlb });

/** Requests by their flags and entries. */
const requests = (hwpt: Value, entries: readonly (readonly [flags: number, id: number])[], more: Fields = {}): Call => {
  const fields: Record<string, FieldValue> = {};
  for (const [i, [flags, id]] of entries.entries()) {
    fields[`flags_${i}`] = flags;
    fields[`iotlb_id_${i}`] = id;
  }
  return invalidate(hwpt, {
    data_uptr: { fields },
    data_type: 0xdead_beef,
    entry_num: entries.length,
    ...more,
  });
};

/** Has a mock write to pages, a bit for each. */
const write = (hwpt: Value, iova: number, length: number, bits: number, fields: Fields = {}): Call =>
  test("DIRTY", hwpt, { iova, length, page_size: IO_PAGE, uptr: { fields: { bits_0: bits } }, ...fields });
/** Asks what was written, a bit for every page of the mock. */
const written = (iova: number, length: number, fields: Fields = {}): Call =>
  bitmap("@table", { iova, length, page_size: IO_PAGE, ...fields });

export const MOCK_TABLES: readonly Scenario[] = [
  scenario({
    id: "nested-refused",
    title: "what can't be nested in what, and that nothing is left of what was refused",
    needs: MOCK,
    steps: [
      ...attached,
      refused("ENOENT", refusedHwpt("@stdev", "@ioas")),
      refused("EINVAL", refusedHwpt("@devid", "@stdev")),
      allocHwpt("@devid", "@ioas", { flags: NEST_PARENT }, "@parent"),
      allocHwpt("@devid", "@ioas", {}, "@childless"),
      refused("EINVAL", refusedHwpt("@devid", "@parent", { data_len: 4 })),
      refused("EOPNOTSUPP", refusedHwpt("@devid", "@parent")),
      refused("EOPNOTSUPP", refusedHwpt("@devid", "@parent", { ...tableData(4), data_type: SELFTEST + 1 })),
      refused("EINVAL", refusedHwpt("@devid", "@parent", tableData(3))),
      refused("EINVAL", refusedHwpt("@devid", "@parent", tableData(12))),
      refused("EFAULT", refusedHwpt("@devid", "@parent", tableData(4, {}, "null"))),
      refused("EOPNOTSUPP", refusedHwpt("@devid", "@parent", { ...tableData(4), flags: NEST_PARENT })),
      refused("EINVAL", refusedHwpt("@devid", "@childless", tableData(4))),
      refused("EINVAL", refusedHwpt("@devid", "@hwpt", tableData(4))),
      nest("@parent", "@nested"),
      refused("EINVAL", refusedHwpt("@devid", "@nested", tableData(4))),
      refused("EBUSY", destroy("@iommufd", "@parent")),
      destroy("@iommufd", "@nested"),
      destroy("@iommufd", "@parent"),
    ],
  }),
  scenario({
    id: "nested-caches",
    title: "what caches hold of a nested page table is invalidated request by request, up to the first bad one",
    needs: MOCK,
    steps: [
      ...attached,
      allocHwpt("@devid", "@ioas", { flags: NEST_PARENT }, "@parent"),
      nest("@parent", "@nested"),
      nest("@parent", "@nested1"),
      checkCache("@nested", 0, CACHED),
      checkCache("@nested", 3, CACHED),
      refused("EINVAL", checkCache("@nested", 4, CACHED)),
      refused("ENOENT", checkCache("@parent", 0, CACHED)),
      requests("@nested", []),
      refused("EINVAL", requests("@nested", [], { data_type: 1 })),
      refused("EINVAL", requests("@nested", [[0, 0]], { data_type: 0x0dad_beef })),
      refused("EINVAL", requests("@nested", [[0, 0]], { entry_len: 9 })),
      refused("EINVAL", requests("@nested", [[0, 0]], { entry_len: 1 })),
      refused("EINVAL", requests("@nested", [[0, 0]], { entry_len: 0 })),
      refused("EINVAL", requests("@nested", [[0, 0]], { data_uptr: 0 })),
      refused("EFAULT", requests("@nested", [[0, 0]], { data_uptr: { fields: {}, place: "unmapped" } })),
      refused("EOPNOTSUPP", requests("@nested", [[2, 0]])),
      refused("EINVAL", requests("@nested", [[1, 4]])),
      refused(
        "EOPNOTSUPP",
        requests("@nested", [
          [0, 0],
          [2, 1],
          [0, 2],
        ]),
      ),
      checkCache("@nested", 0, 0),
      checkCache("@nested", 1, CACHED),
      refused(
        "EINVAL",
        requests("@nested", [
          [0, 1],
          [0, 4],
        ]),
      ),
      checkCache("@nested", 1, 0),
      requests("@nested", [
        [0, 2],
        [0, 3],
      ]),
      checkCache("@nested", 3, 0),
      requests("@nested1", [[1, 0]]),
      checkCache("@nested1", 3, 0),
      refused("EFAULT", ioctl("@iommufd", "IOMMU_HWPT_INVALIDATE", { size: 32, hwpt_id: 77 }, { place: "readonly" })),
    ],
  }),
  scenario({
    id: "nested-bounds",
    title: "since 7.2 no call asks for more than the kernel carries out in one go",
    needs: { ...MOCK, since: "7.2" },
    steps: [
      ...attached,
      refused("EINVAL", requests("@hwpt", [[0, 0]], { entry_len: PAGE + 1 })),
      refused("EINVAL", requests("@hwpt", [[0, 0]], { entry_num: 2 ** 19 + 1 })),
    ],
  }),
  scenario({
    id: "nested-attached",
    title: "a mock moves between nested page tables, their parent and its IOAS; what it is attached to is in use",
    needs: MOCK,
    steps: [
      ...attached,
      map("@iommufd", "@ioas", START, PAGE),
      allocHwpt("@devid", "@ioas", { flags: NEST_PARENT }, "@parent"),
      nest("@parent", "@nested"),
      nest("@parent", "@nested1"),
      replace("@stdev", "@nested"),
      refused("ENOENT", destroy("@iommufd", "@hwpt")),
      refused("EBUSY", destroy("@iommufd", "@nested")),
      replace("@stdev", "@nested1"),
      destroy("@iommufd", "@nested"),
      refused("EBUSY", destroy("@iommufd", "@nested1")),
      refused("ENOENT", track("@nested1", 1)),
      refused("ENOENT", written(START, PAGE, { hwpt_id: "@nested1" })),
      replace("@stdev", "@parent"),
      destroy("@iommufd", "@nested1"),
      mock("@parent", 1),
      replace("@stdev", "@ioas"),
      destroy("@iommufd", "@stdev1"),
      destroy("@iommufd", "@parent"),
      unmap("@iommufd", "@ioas", START, PAGE),
    ],
  }),
  scenario({
    id: "tables-by-kind",
    title: "since 6.19 a mock's page table can be of a kind, of which the large one reaches further",
    needs: { ...MOCK, since: "6.19" },
    steps: [
      ...attached,
      refused("EOPNOTSUPP", refusedHwpt("@devid", "@ioas", { ...tableData(8), data_type: 1 })),
      refused("EINVAL", refusedHwpt("@devid", "@ioas", tableData(12))),
      refused("EFAULT", refusedHwpt("@devid", "@ioas", tableData(8, {}, "null"))),
      refused("EOPNOTSUPP", refusedHwpt("@devid", "@ioas", tableData(8, { pagetable_type: 2 }))),
      allocHwpt("@devid", "@ioas", tableData(8, { pagetable_type: 0 }), "@plain"),
      allocIoas("@iommufd", "@ioas1"),
      allocHwpt("@devid", "@ioas1", tableData(8, { pagetable_type: 1 }), "@large"),
      map("@iommufd", "@ioas1", 0, PAGE),
      map("@iommufd", "@ioas1", 2 ** 38 - PAGE, PAGE),
      refused("EINVAL", map("@iommufd", "@ioas1", 2 ** 38, PAGE)),
    ],
  }),
  scenario({
    id: "tables-of-data",
    title: "before 6.19 only nested page tables of mocks are made of data",
    needs: { ...MOCK, until: "6.18" },
    steps: [...attached, refused("EOPNOTSUPP", refusedHwpt("@devid", "@ioas", tableData(4)))],
  }),
  scenario({
    id: "mock-information",
    title: "a mock tells what it is",
    needs: MOCK,
    steps: [...attached, hwInfo("@devid", 0), hwInfo("@devid", 4), hwInfo("@devid", 40)],
  }),
  scenario({
    id: "written-and-told",
    title: "what a mock writes is told once, or as often as it is asked for without clearing",
    needs: MOCK,
    steps: [
      ...attached,
      map("@iommufd", "@ioas", START, PAGE),
      map("@iommufd", "@ioas", START + PAGE, PAGE),
      allocHwpt("@devid", "@ioas", { flags: DIRTY_TRACKING }),
      refused("EINVAL", write("@table", START, PAGE, 1)),
      track("@table", 1),
      written(START, 2 * PAGE),
      write("@table", START, 2 * PAGE, 5),
      written(START, 2 * PAGE, { flags: 1 }),
      written(START, 2 * PAGE, { page_size: PAGE, flags: 1 }),
      written(START + PAGE, PAGE, { flags: 1, data: { fields: { bits_0: 0x80 } } }),
      written(START, PAGE),
      written(START, 2 * PAGE),
      written(START, 2 * PAGE),
      write("@table", START, PAGE, 1),
      track("@table", 1),
      written(START, 2 * PAGE),
      write("@table", START, PAGE, 1),
      unmap("@iommufd", "@ioas", START, PAGE),
      map("@iommufd", "@ioas", START, PAGE),
      written(START, 2 * PAGE),
      track("@table", 0),
    ],
  }),
  scenario({
    id: "written-refused",
    title: "what of tracking is refused",
    needs: MOCK,
    steps: [
      ...attached,
      map("@iommufd", "@ioas", START, PAGE),
      refused("EOPNOTSUPP", track("@hwpt", 1)),
      allocHwpt("@devid", "@ioas", { flags: DIRTY_TRACKING }),
      track("@table", 1),
      refused("EINVAL", write("@table", START, PAGE, 1, { page_size: 0 })),
      refused("EINVAL", write("@table", START + 1, PAGE, 1)),
      refused("ENOENT", write("@ioas", START, PAGE, 1)),
      refused("EFAULT", write("@table", START, PAGE, 1, { uptr: { fields: {}, place: "unmapped" } })),
      refused(
        "EFAULT",
        test(
          "DIRTY",
          "@table",
          { iova: START, length: PAGE, page_size: IO_PAGE, uptr: { fields: {} } },
          { place: "readonly" },
        ),
      ),
      refused("EINVAL", written(START + 1, PAGE)),
      refused("EINVAL", written(START, PAGE, { page_size: 0 })),
      refused("EINVAL", written(START + IO_PAGE, IO_PAGE, { page_size: PAGE })),
      test(
        "MOCK_DOMAIN_FLAGS",
        "@ioas",
        { dev_flags: 1 },
        { binds: { out_stdev_id: "@stdev1", out_idev_id: "@devid1" } },
      ),
      refused("EINVAL", replace("@stdev1", "@table")),
      refused("EOPNOTSUPP", refusedHwpt("@devid1", "@ioas", { flags: DIRTY_TRACKING })),
      hwInfo("@devid1", 0),
      refused("EOPNOTSUPP", refusedHwpt("@devid", "@ioas", { flags: NEST_PARENT | FAULT_ID_VALID })),
    ],
  }),
  scenario({
    id: "dirty-bitmap-error-lost",
    breaks: "dirty-bitmap-error-lost",
    title: "a bitmap that can't be told is refused, and nothing is lost",
    needs: MOCK,
    steps: [
      ...tracked,
      write("@table", START, PAGE, 3),
      refused("EFAULT", written(START, PAGE, { data: { fields: {}, place: "readonly" } })),
      refused("EINVAL", written(START, 2 * PAGE)),
      written(START, PAGE),
    ],
  }),
  scenario({
    id: "dirty-last-item-lost",
    breaks: "dirty-last-item-lost",
    title: "the end of a page that takes two entries of a mock's page table is told as its begin is",
    needs: { ...MOCK, since: "6.19" },
    steps: [...tracked, write("@table", START, PAGE, 2), written(START, PAGE)],
  }),
  scenario({
    id: "dirty-part-hangs",
    breaks: "dirty-part-hangs",
    title: "a bitmap can begin within a page that takes two entries of a mock's page table",
    needs: { ...MOCK, since: "6.19" },
    steps: [...tracked, write("@table", START, PAGE, 2), written(START + IO_PAGE, IO_PAGE)],
  }),
  scenario({
    id: "dirty-bitmap-while-off",
    breaks: "dirty-bitmap-error-lost",
    title: "before 6.19 a mock tells nothing while tracking is off",
    needs: { ...MOCK, until: "6.18" },
    steps: [...logging, refused("EINVAL", written(START, PAGE))],
  }),
  scenario({
    id: "written-too-much",
    title: "since 6.19 a mock writes no more at once than fits a bitmap of 16 MiB",
    needs: { ...MOCK, since: "6.19" },
    steps: [...attached, refused("EOVERFLOW", write("@hwpt", 0, 2 ** 39, 1))],
  }),
];
