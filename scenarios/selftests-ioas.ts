/** What the kernel's own selftests check of I/O address spaces: the fixture iommufd_ioas of iommufd.c, test by test. */
import { MOCK_START as START } from "../model/iommufd/selftest/mock-device.ts";
import { PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Fields } from "../model/program.ts";
import { U64_MAX } from "../model/uapi/u64.ts";
import { allocIoas, close, destroy, ioctl } from "./calls.ts";
import { mock } from "./mocks.ts";
import { allocHwpt } from "./page-table-calls.ts";
import { refused, type Scenario, type Step } from "./scenario.ts";
import {
  allow,
  allowAll,
  BUFFER,
  baseOf,
  checkMap,
  checkRefs,
  copy,
  createAccess,
  GET,
  HALF,
  hugePages,
  IOAS_VARIANTS,
  inVariants,
  mapAnywhere,
  mapAt,
  pin,
  ranges,
  reserve,
  SET,
  type Steps,
  unmap,
  unpin,
  upTo,
} from "./selftest-calls.ts";
import { buffer, takeBack } from "./shared-memory.ts";

/** Maps all of a buffer where the kernel likes, unless fields say otherwise. */
const mapBuffer = (fields: Fields, iova?: string): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_IOAS_MAP_FILE",
    { size: 40, flags: 6, ioas_id: "@ioas", fd: "@dma-buf", length: 4 * PAGE, ...fields },
    iova === undefined ? {} : { binds: { iova } },
  );
const withBuffers = (selftest: Scenario): Scenario => ({ ...selftest, needs: { ...selftest.needs, since: "6.19" } });

/** TEST_F(iommufd_ioas, …) */
export const IOAS_SELFTESTS: readonly Scenario[] = [
  ...inVariants("ioas-destroy", "an IOAS is not destroyed while a mock is attached", IOAS_VARIANTS, ({ mocks }) => [
    mocks > 0 ? refused("EBUSY", destroy("@iommufd", "@ioas")) : destroy("@iommufd", "@ioas"),
  ]),
  ...inVariants("ioas-area-destroy", "mappings keep no IOAS", IOAS_VARIANTS, (given) => [
    mapAt(baseOf(given), PAGE),
    given.mocks > 0 ? refused("EBUSY", destroy("@iommufd", "@ioas")) : destroy("@iommufd", "@ioas"),
  ]),
  ...inVariants("ioas-area-auto-destroy", "mappings go with the iommufd", IOAS_VARIANTS, (given) =>
    upTo(10).map((i) => mapAt(baseOf(given) + i * PAGE, PAGE)),
  ),
  ...inVariants("hwpt-attach", "a mock is attached to the page table of another", IOAS_VARIANTS, ({ mocks }) => [
    mocks > 0 ? mock("@hwpt1", 3) : refused("ENOENT", mock(0, 3)),
  ]),
  ...inVariants("area", "mappings are neither split nor overlap", IOAS_VARIANTS, (given) => {
    const at = (page: number): number => baseOf(given) + page * PAGE;
    return [
      ...upTo(10).map((i) => refused("ENOENT", unmap(i * PAGE, PAGE))),
      ...upTo(10).map((i) => mapAt(at(i), PAGE)),
      ...upTo(10).map((i) => unmap(at(i), PAGE)),
      mapAt(at(16), 2 * PAGE),
      refused("ENOENT", unmap(at(16), PAGE)),
      refused("ENOENT", unmap(at(17), PAGE)),
      refused("EEXIST", mapAt(at(16), 2 * PAGE)),
      refused("EEXIST", mapAt(at(16), PAGE)),
      refused("EEXIST", mapAt(at(17), PAGE)),
      refused("EEXIST", mapAt(at(15), 2 * PAGE)),
      refused("EEXIST", mapAt(at(15), 3 * PAGE)),
      unmap(0, U64_MAX),
      unmap(0, U64_MAX),
    ];
  }),
  ...inVariants("unmap-contained", "a range unmaps what lies in it wholly, or nothing", IOAS_VARIANTS, (given) => {
    const base = baseOf(given) + 4 * PAGE;
    return [
      ...upTo(4).map((i) => mapAt(base + i * 16 * PAGE, 8 * PAGE)),
      refused("ENOENT", unmap(base - 4 * PAGE, 8 * PAGE)),
      refused("ENOENT", unmap(base + (3 * 16 + 4) * PAGE, 8 * PAGE)),
      unmap(base - 4 * PAGE, (3 * 16 + 8 + 4) * PAGE),
    ];
  }),
  ...inVariants(
    "area-auto-iova",
    "the kernel finds places that are free, allowed and not reserved",
    IOAS_VARIANTS,
    (given) => {
      const base = given.mocks > 0 ? START : 199 * PAGE;
      const allOf = (length: (i: number) => number): Call[] => [
        ...upTo(10).map((i) => mapAnywhere(length(i), `@iova${i}`)),
        ...upTo(10).map((i) => unmap(`@iova${i}`, length(i))),
      ];
      return [
        ...allOf(() => PAGE),
        ...allOf((i) => (i + 1) * PAGE),
        reserve(4 * PAGE, 100 * PAGE),
        ...allOf((i) => (i + 1) * PAGE),
        refused("EADDRINUSE", allow(PAGE, 600 * PAGE)),
        allow(base + PAGE, base + 600 * PAGE - 1),
        ...allOf((i) => (i + 1) * PAGE),
      ];
    },
  ),
  ...inVariants(
    "reserved-overflow",
    "there is no place at the end where rounding up runs over it",
    IOAS_VARIANTS,
    () => [reserve(6, 0xffff_ffff_ffff_8001n), refused("ENOSPC", mapAnywhere(5 * PAGE))],
  ),
  ...inVariants("area-allowed", "allowed and reserved ranges keep apart", IOAS_VARIANTS, (given) => {
    const base = baseOf(given);
    return [
      allow(base, base + 600 * PAGE),
      refused("EADDRINUSE", reserve(base + PAGE, PAGE)),
      allowAll,
      reserve(base + PAGE, PAGE),
      refused("EADDRINUSE", allow(base, base + 600 * PAGE)),
    ];
  }),
  ...inVariants("copy-area", "a mapping is copied within its IOAS and to another", IOAS_VARIANTS, (given) => {
    const base = baseOf(given);
    return [
      mapAt(base, PAGE),
      copy(base, base + PAGE, PAGE),
      allocIoas("@iommufd", "@ioas2"),
      copy(base, 0, PAGE, "@ioas2"),
    ];
  }),
  ...inVariants(
    "iova-ranges",
    "ranges are told as far as there is room, and their number always",
    IOAS_VARIANTS,
    ({ mocks }) => [
      ranges(4),
      refused("EMSGSIZE", ranges(0)),
      reserve(PAGE, PAGE),
      ranges(4),
      mocks > 0 ? ranges(1) : refused("EMSGSIZE", ranges(1)),
    ],
  ),
  ...inVariants("option-huge-pages", "large pages are switched off and on", IOAS_VARIANTS, () => [
    hugePages(GET, 3),
    hugePages(SET, 0),
    hugePages(GET, 3),
    refused("EINVAL", hugePages(SET, 2)),
    hugePages(SET, 1),
  ]),
  ...inVariants("iova-alloc", "a length is of the smallest pages of those attached", IOAS_VARIANTS, ({ mocks }) =>
    [1, 511, 1024, HALF - 1, HALF, HALF + 1, PAGE, PAGE + 1, PAGE + HALF, 2 * PAGE - 1].flatMap(
      (length): Steps =>
        mocks > 0 && length % HALF !== 0
          ? [refused("EINVAL", mapAnywhere(length))]
          : [mapAnywhere(length), unmap("@iova", length)],
    ),
  ),
  ...inVariants(
    "align-change",
    "large pages are switched off where all mappings are of whole pages",
    IOAS_VARIANTS.slice(0, 1),
    () => [
      mapAt(START, PAGE),
      hugePages(SET, 0),
      refused("EINVAL", mapAt(START + PAGE, PAGE, HALF)),
      hugePages(SET, 0),
      hugePages(SET, 1),
      mapAt(START + PAGE, PAGE, HALF),
      refused("EADDRINUSE", hugePages(SET, 0)),
      unmap(START + PAGE, PAGE),
      unmap(START, PAGE),
    ],
  ),
  ...inVariants("copy-sweep", "a copy begins at any byte of a mapping, and ends within", IOAS_VARIANTS, ({ mocks }) => {
    const length = mocks > 0 ? BUFFER : BUFFER - 1;
    const steps: (Call | Step)[] = [allocIoas("@iommufd", "@ioas2"), mapAt(START, length)];
    for (let iova = START - PAGE; iova < START + length; iova += 7 * 511) {
      const call = copy(iova, START, HALF, "@ioas2");
      if (iova < START || iova + HALF > START + length) steps.push(refused("ENOENT", call));
      else steps.push(call, unmap(START, HALF, "@ioas2"));
    }
    return [...steps, destroy("@iommufd", "@ioas2")];
  }),
  ...inVariants(
    "access-domain-destroy",
    "what an access has pinned stays when page tables go",
    IOAS_VARIANTS,
    (given) => [
      mapAt(baseOf(given), BUFFER),
      createAccess("@ioas"),
      pin(baseOf(given) + PAGE, PAGE, PAGE),
      ...(given.mocks > 0 ? [destroy("@iommufd", `@stdev${given.mocks}`)] : []),
      checkRefs(PAGE, PAGE, 1),
      unpin(),
      close("@access"),
    ],
  ),
  ...inVariants(
    "access-pin",
    "an access and page tables come and go, and pin the same memory once",
    IOAS_VARIANTS,
    () => [
      createAccess("@ioas"),
      ...[1, 2, 7, 15].flatMap((pages): Steps => {
        const length = pages * PAGE;
        return [
          mapAt(START, BUFFER),
          pin(START, length),
          unpin(),
          pin(START, length),
          pin(START, length, 0, "@pin2"),
          unpin("@pin2"),
          unpin(),
          pin(START, length),
          mock("@ioas", 3),
          checkMap("@hwpt3", START, BUFFER, 0),
          destroy("@iommufd", "@stdev3"),
          unpin(),
          unmap(START, BUFFER),
        ];
      }),
      close("@access"),
    ],
  ),
  ...inVariants("access-pin-unmap", "unmapping takes from an access what it has pinned", IOAS_VARIANTS, () => [
    createAccess("@ioas"),
    mapAt(START, BUFFER),
    pin(START, BUFFER),
    unmap(START, BUFFER),
    refused("ENOENT", unpin()),
  ]),
  ...inVariants("dmabuf-simple", "of a buffer is mapped what is there", IOAS_VARIANTS, () => [
    buffer(4 * PAGE),
    refused("EINVAL", mapBuffer({ length: 0 })),
    refused("EINVAL", mapBuffer({ start: 4 * PAGE })),
    refused("EINVAL", mapBuffer({ length: 4 * PAGE + 1 })),
    mapBuffer({}, "@iova"),
    close("@dma-buf"),
  ]).map(withBuffers),
  ...inVariants("dmabuf-revoke", "a buffer is taken back, and lent again", IOAS_VARIANTS, ({ mocks }) => [
    buffer(4 * PAGE),
    mapBuffer({}, "@iova"),
    takeBack(1),
    ...(mocks > 0 ? [allocHwpt("@devid1", "@ioas")] : []),
    refused("ENODEV", mapBuffer({})),
    takeBack(0),
    mapBuffer({}, "@iova2"),
    unmap("@iova", 4 * PAGE),
    mapBuffer({ flags: 7, iova: "@iova" }),
    close("@dma-buf"),
  ]).map(withBuffers),
];
