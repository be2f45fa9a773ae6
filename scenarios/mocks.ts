/** Mocks of the kernel's selftests: devices behind an IOMMU made of software, whose page tables can be looked into. */
import type { Around } from "../model/ioctl-calls.ts";
import { MOCK_START as START } from "../model/iommufd/selftest/mock-device.ts";
import { MEMORY, PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Fields, Place, Value } from "../model/program.ts";
import { U64_MAX } from "../model/uapi/u64.ts";
import {
  allocIoas,
  attach,
  bind,
  destroy,
  ioctl,
  map,
  openCdev,
  openIommufd,
  pinned,
  setCompatIoas,
  setIommu,
  unmap,
} from "./calls.ts";
import { compatInfo } from "./compat.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";
import { mapDma, unmapDma } from "./type1.ts";

const VFIO_TYPE1_IOMMU = 1;
const MOCK = { since: "6.7", kconfig: ["IOMMUFD", "IOMMUFD_TEST"], mock: true } as const;
const IO_PAGE = 2048;
const FIXED_READ_WRITE = 7;

/** An op of IOMMU_TEST_CMD, on an iommufd. */
export const test = (name: string, id: Value, fields: Fields = {}, around: Around = {}): Call =>
  ioctl("@iommufd", `IOMMU_TEST_OP_${name}`, { size: 72, op: OPS[name] ?? 0, id, ...fields }, around);

const OPS: Readonly<Record<string, number>> = {
  ADD_RESERVED: 1,
  MOCK_DOMAIN: 2,
  MD_CHECK_MAP: 3,
  MD_CHECK_REFS: 4,
  SET_TEMP_MEMORY_LIMIT: 9,
  MOCK_DOMAIN_REPLACE: 10,
  MOCK_DOMAIN_FLAGS: 12,
  DIRTY: 13,
  MD_CHECK_IOTLB: 14,
  TRIGGER_IOPF: 15,
  DEV_CHECK_CACHE: 16,
  TRIGGER_VEVENT: 17,
  PASID_ATTACH: 18,
  PASID_REPLACE: 19,
  PASID_DETACH: 20,
  PASID_CHECK_HWPT: 21,
  DMABUF_GET: 22,
  DMABUF_REVOKE: 23,
};

/** A mock that is attached; it goes by the number that its handles get. */
export const mock = (pt: Value, n: number | "" = ""): Call =>
  test(
    "MOCK_DOMAIN",
    pt,
    {},
    { binds: { out_stdev_id: `@stdev${n}`, out_hwpt_id: `@hwpt${n}`, out_idev_id: `@devid${n}` } },
  );
export const replace = (stdev: Value, pt: Value, place?: Place): Call =>
  test(
    "MOCK_DOMAIN_REPLACE",
    stdev,
    { pt_id: pt },
    place === undefined ? { binds: { pt_id: "@hwpt-new" } } : { place },
  );
const reserve = (ioas: Value, start: number | bigint, length: number | bigint): Call =>
  test("ADD_RESERVED", ioas, { start, length });
const checkMap = (hwpt: Value, iova: number, length: number, uptr: bigint = MEMORY.user): Call =>
  test("MD_CHECK_MAP", hwpt, { iova, length, uptr });
const checkRefs = (refs: number, length = PAGE, uptr: bigint = MEMORY.user): Call =>
  test("MD_CHECK_REFS", 0, { length, uptr, refs });
const mapAt = (iova: number, length: number, user_va: bigint): Call =>
  ioctl("@iommufd", "IOMMU_IOAS_MAP", { size: 40, flags: FIXED_READ_WRITE, ioas_id: "@ioas", user_va, length, iova });

/** From then on mocks are found on a machine with an IOMMU as well. */
const BOTH = { since: "6.18", kconfig: ["IOMMUFD", "IOMMUFD_TEST", "VFIO_DEVICE_CDEV"] } as const;

const withIoas = [openIommufd(), allocIoas("@iommufd")];
const KIB = PAGE / 1024;

export const MOCKS: readonly Scenario[] = [
  scenario({
    id: "mock-compat",
    title: "VFIO's own commands map for a mock, whose small pages they do not tell of",
    needs: MOCK,
    steps: [
      ...withIoas,
      mock("@ioas"),
      setCompatIoas("@iommufd", "@ioas"),
      compatInfo(88, "@iommufd"),
      mapDma("@iommufd", START, 2 * PAGE),
      checkMap("@hwpt", START, 2 * PAGE),
      gives(2 * KIB, pinned),
      refused("EINVAL", setIommu("@iommufd", VFIO_TYPE1_IOMMU)),
      refused("ENOENT", unmapDma("@iommufd", START, PAGE)),
      unmapDma("@iommufd", START, 2 * PAGE),
      setIommu("@iommufd", VFIO_TYPE1_IOMMU),
      mapDma("@iommufd", START, 2 * PAGE),
      unmapDma("@iommufd", START, PAGE),
      refused("EINVAL", checkMap("@hwpt", START, PAGE)),
      checkMap("@hwpt", START + PAGE, PAGE, MEMORY.user + BigInt(PAGE)),
      gives(KIB, pinned),
    ],
  }),
  scenario({
    id: "mock-life",
    title: "a mock is made, shares its page table with another, and goes by its own id only",
    needs: MOCK,
    steps: [
      ...withIoas,
      refused("ENOENT", mock(77)),
      mock("@ioas", 1),
      mock("@ioas", 2),
      refused("EINVAL", mock("@devid1")),
      refused("EBUSY", destroy("@iommufd", "@devid1")),
      refused("EBUSY", destroy("@iommufd", "@hwpt1")),
      refused("EBUSY", destroy("@iommufd", "@ioas")),
      mock("@hwpt1", 3),
      destroy("@iommufd", "@stdev1"),
      refused("ENOENT", destroy("@iommufd", "@devid1")),
      destroy("@iommufd", "@stdev2"),
      destroy("@iommufd", "@stdev3"),
      refused("ENOENT", destroy("@iommufd", "@hwpt3")),
      destroy("@iommufd", "@ioas"),
    ],
  }),
  scenario({
    id: "mock-refused",
    title: "what a mock can't be asked for, and that nothing is left of one that was refused",
    needs: MOCK,
    steps: [
      ...withIoas,
      refused("EINVAL", test("MOCK_DOMAIN_FLAGS", "@ioas", { dev_flags: 8 })),
      refused("EFAULT", test("MOCK_DOMAIN", "@ioas", {}, { place: "readonly" })),
      refused("EOPNOTSUPP", ioctl("@iommufd", "IOMMU_TEST_OP_MOCK_DOMAIN", { size: 72, op: 99, id: "@ioas" })),
      refused("EINVAL", ioctl("@iommufd", "IOMMU_TEST_OP_MOCK_DOMAIN", { size: 67, op: 2, id: "@ioas" })),
      refused("EINVAL", test("SET_TEMP_MEMORY_LIMIT", 0, { limit: 11 })),
      test("SET_TEMP_MEMORY_LIMIT", 0, { limit: 65536 }),
      destroy("@iommufd", "@ioas"),
    ],
  }),
  scenario({
    id: "mock-moves",
    title: "a mock moves to another IOAS; where its caller can't be told, it has moved all the same",
    needs: MOCK,
    steps: [
      ...withIoas,
      allocIoas("@iommufd", "@ioas2"),
      mock("@ioas"),
      refused("ENOENT", replace("@devid", "@ioas2")),
      refused("ENOENT", replace("@stdev", 77)),
      replace("@stdev", "@ioas2"),
      refused("ENOENT", destroy("@iommufd", "@hwpt")),
      destroy("@iommufd", "@ioas"),
      allocIoas("@iommufd"),
      refused("EFAULT", replace("@stdev", "@ioas", "readonly")),
      destroy("@iommufd", "@ioas2"),
      refused("EBUSY", destroy("@iommufd", "@ioas")),
    ],
  }),
  scenario({
    id: "mock-page-table",
    title: "a page table holds what is mapped, half pages included, and nothing else",
    needs: MOCK,
    steps: [
      ...withIoas,
      mapAt(START, 2 * PAGE, MEMORY.user),
      gives(0, pinned),
      mock("@ioas"),
      gives(2 * KIB, pinned),
      checkMap("@hwpt", START, 2 * PAGE),
      checkMap("@hwpt", START + IO_PAGE, IO_PAGE, MEMORY.user + BigInt(IO_PAGE)),
      refused("EINVAL", checkMap("@hwpt", START, IO_PAGE, MEMORY.user + BigInt(IO_PAGE))),
      refused("EINVAL", checkMap("@hwpt", START, 3 * PAGE)),
      refused("EINVAL", checkMap("@hwpt", START + 1, PAGE)),
      refused("EFAULT", checkMap("@hwpt", START, PAGE, MEMORY.hole)),
      refused("EOVERFLOW", checkMap("@hwpt", START, IO_PAGE, U64_MAX - BigInt(PAGE - 1))),
      refused("ENOENT", checkMap("@ioas", START, PAGE)),
      mapAt(START + 4 * PAGE + IO_PAGE, PAGE, MEMORY.user + BigInt(8 * PAGE + IO_PAGE)),
      gives(4 * KIB, pinned),
      checkMap("@hwpt", START + 4 * PAGE + IO_PAGE, PAGE, MEMORY.user + BigInt(8 * PAGE + IO_PAGE)),
      refused("EINVAL", mapAt(START + 8 * PAGE, PAGE, MEMORY.user + 1024n)),
      refused("EOVERFLOW", mapAt(START + 8 * PAGE, IO_PAGE, U64_MAX - BigInt(PAGE - 1))),
      refused("EFAULT", mapAt(START + 8 * PAGE, IO_PAGE, U64_MAX - BigInt(2 * PAGE - 1))),
      unmap("@iommufd", "@ioas", START, 2 * PAGE),
      refused("EINVAL", checkMap("@hwpt", START, IO_PAGE)),
      gives(2 * KIB, pinned),
    ],
  }),
  scenario({
    id: "mock-pins",
    title: "each mapping pins its memory once, however many page tables there are",
    needs: MOCK,
    steps: [
      ...withIoas,
      map("@iommufd", "@ioas", START, PAGE),
      checkRefs(0),
      mock("@ioas", 1),
      checkRefs(1),
      mock("@ioas", 2),
      checkRefs(1),
      map("@iommufd", "@ioas", START + PAGE, PAGE),
      checkRefs(2),
      refused("EIO", checkRefs(1)),
      checkRefs(0, PAGE, MEMORY.user + BigInt(PAGE)),
      refused("EINVAL", checkRefs(0, PAGE + 1)),
      refused("EFAULT", checkRefs(0, PAGE, MEMORY.hole)),
      unmap("@iommufd", "@ioas", START, PAGE),
      checkRefs(1),
      destroy("@iommufd", "@stdev1"),
      checkRefs(1),
      destroy("@iommufd", "@stdev2"),
      checkRefs(0),
    ],
  }),
  scenario({
    id: "mock-reach",
    title: "with a mock there is nothing to be had outside of its reach",
    needs: MOCK,
    steps: [
      ...withIoas,
      map("@iommufd", "@ioas", 0, PAGE),
      refused("EADDRINUSE", mock("@ioas")),
      unmap("@iommufd", "@ioas", 0, PAGE),
      map("@iommufd", "@ioas", 2 ** 31, PAGE),
      refused("EADDRINUSE", mock("@ioas")),
      unmap("@iommufd", "@ioas", 2 ** 31, PAGE),
      mapAt(START, 1024, MEMORY.user),
      refused("EADDRINUSE", mock("@ioas")),
      unmap("@iommufd", "@ioas", START, 1024),
      mock("@ioas"),
      refused("EINVAL", map("@iommufd", "@ioas", START - PAGE, PAGE)),
      refused("EINVAL", map("@iommufd", "@ioas", 2 ** 31, PAGE)),
      map("@iommufd", "@ioas", 2 ** 31 - PAGE, PAGE),
      ioctl("@iommufd", "IOMMU_IOAS_IOVA_RANGES", {
        size: 32,
        ioas_id: "@ioas",
        num_iovas: 1,
        allowed_iovas: { fields: {} },
      }),
    ],
  }),
  scenario({
    id: "mock-reserved",
    title: "ranges that are reserved for nobody stay as long as the IOAS",
    needs: MOCK,
    steps: [
      ...withIoas,
      refused("EINVAL", reserve("@ioas", START, 0)),
      refused("EOVERFLOW", reserve("@ioas", U64_MAX, 2)),
      refused("ENOENT", reserve(77, START, PAGE)),
      map("@iommufd", "@ioas", START, PAGE),
      refused("EADDRINUSE", reserve("@ioas", START + PAGE - 1, 1)),
      reserve("@ioas", START + PAGE, PAGE),
      reserve("@ioas", START + PAGE + 1, 1),
      refused("EINVAL", map("@iommufd", "@ioas", START + PAGE, PAGE)),
      mock("@ioas"),
      destroy("@iommufd", "@stdev"),
      refused("EINVAL", map("@iommufd", "@ioas", START + PAGE, PAGE)),
      destroy("@iommufd", "@ioas"),
    ],
  }),
  scenario({
    id: "mock-and-function",
    title: "a mock and a function share an IOAS, each with a page table of its own",
    needs: BOTH,
    steps: [
      ...withIoas,
      openCdev("edu0"),
      bind("@device", "@iommufd"),
      attach("@device", "@ioas"),
      refused("EINVAL", mock("@hwpt", 1)),
      map("@iommufd", "@ioas", START, PAGE),
      mock("@ioas", 2),
      checkRefs(1),
      checkMap("@hwpt2", START, PAGE),
      refused("EINVAL", checkMap("@hwpt", START, PAGE)),
      refused("EINVAL", map("@iommufd", "@ioas", 0, PAGE)),
      destroy("@iommufd", "@stdev2"),
      map("@iommufd", "@ioas", 0, PAGE),
      checkRefs(2),
    ],
  }),
  scenario({
    id: "replace-foreign-table",
    breaks: "replace-foreign-table",
    title: "a function that is attached can't move to a mock's page table",
    needs: BOTH,
    steps: [
      ...withIoas,
      mock("@ioas"),
      allocIoas("@iommufd", "@ioas2"),
      openCdev("edu0"),
      bind("@device", "@iommufd"),
      attach("@device", "@ioas2", "@own"),
      refused("EINVAL", attach("@device", "@hwpt", "@foreign")),
    ],
  }),
  scenario({
    id: "mock-behind-iommu",
    title: "before mocks had a firmware node, a machine's IOMMU kept them from their own",
    needs: { ...BOTH, since: "6.7", until: "6.17" },
    steps: [...withIoas, openCdev("edu0"), refused("EINVAL", mock("@ioas")), destroy("@iommufd", "@ioas")],
  }),
];
