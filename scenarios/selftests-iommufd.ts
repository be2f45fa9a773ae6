/**
 * What the kernel's own selftests check with mocks: the fixtures of iommufd.c other than iommufd_ioas, as far as no other
 * scenario checks the same. docs/selftests-iommufd.md says which scenario stands for which test.
 */
import { MOCK_START as START } from "../model/iommufd/selftest/mock-device.ts";
import { MEMORY, PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Fields, Value } from "../model/program.ts";
import { allocIoas, close, destroy, ioctl, openIommufd, read, setCompatIoas, setIommu, write } from "./calls.ts";
import { mock, replace, test } from "./mocks.ts";
import { allocFaultQueue, allocHwpt, FAULT_ID_VALID, hwInfo, NEST_PARENT, refusedHwpt } from "./page-table-calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";
import {
  BUFFER,
  checkMap,
  checkRefs,
  copy,
  createAccess,
  DOMAIN_VARIANTS,
  GET,
  HALF,
  hugePages,
  inVariants,
  mapAnywhere,
  mapping,
  moveAccess,
  pin,
  type Steps,
  unmap,
  unpin,
  upTo,
  type Variant,
  WITH_MOCK,
} from "./selftest-calls.ts";
import { IOAS_SELFTESTS } from "./selftests-ioas.ts";
import { mapDma, unmapDma } from "./type1.ts";

/** Looks into the page table of each mock, as check_mock_iova() does. */
const checkEach = ({ mocks }: Variant, iova: Value, length: number, at: number): Call[] =>
  upTo(mocks).map((i) => checkMap(`@hwpt${i + 1}`, iova, length, at));

/** Every mapping of half pages within three. */
const ALL_ALIGNS = upTo(6).flatMap((start) =>
  upTo(6 - start).map((more) => ({ at: start * HALF, length: (more + 1) * HALF })),
);
/** The whole pages of a mapping are pinned once, as check_refs() counts. */
const refsWithin = ({ at, length }: { readonly at: number; readonly length: number }): Call => {
  const from = Math.floor(at / PAGE) * PAGE;
  return checkRefs(from, Math.floor((at + length) / PAGE) * PAGE - from, 1);
};

/** TEST_F(iommufd_mock_domain, …) */
const domains: readonly Scenario[] = [
  ...inVariants(
    "domain-basic",
    "what is mapped is in the page tables; memory must be there to its end",
    DOMAIN_VARIANTS,
    (given) => [
      mapAnywhere(PAGE),
      ...checkEach(given, "@iova", PAGE, 0),
      refused("EFAULT", mapAnywhere(8 * PAGE, "@none", MEMORY.userSize - 4 * PAGE)),
      refused("EFAULT", mapAnywhere(8 * PAGE, "@none", MEMORY.userSize)),
    ],
  ),
  ...inVariants(
    "all-aligns",
    "mappings of half pages are in the page tables, and their memory pinned once",
    DOMAIN_VARIANTS,
    (given) => [
      checkRefs(0, 3 * PAGE, 0),
      ...ALL_ALIGNS.flatMap(({ at, length }) => [
        mapAnywhere(length, "@iova", at),
        ...checkEach(given, "@iova", length, at),
        refsWithin({ at, length }),
        unmap("@iova", length),
      ]),
      checkRefs(0, 3 * PAGE, 0),
    ],
  ),
  ...inVariants(
    "all-aligns-copy",
    "a mock that comes late gets what is mapped, and takes nothing with it",
    DOMAIN_VARIANTS,
    () => [
      checkRefs(0, 3 * PAGE, 0),
      ...ALL_ALIGNS.flatMap(({ at, length }) => [
        mapAnywhere(length, "@iova", at),
        mock("@ioas", 3),
        checkMap("@hwpt3", "@iova", length, at),
        refsWithin({ at, length }),
        destroy("@iommufd", "@stdev3"),
        unmap("@iova", length),
      ]),
      checkRefs(0, 3 * PAGE, 0),
    ],
  ),
  ...inVariants(
    "user-copy",
    "what an access has pinned is copied to page tables, and the access moves on",
    DOMAIN_VARIANTS,
    (given) => {
      const filled = (ioas: string): Steps => [
        allocIoas("@iommufd", ioas),
        mapping({ ioas_id: ioas, length: BUFFER }, `@iova-of-${ioas.slice(1)}`),
      ];
      const pinAndCopy = (ioas: string): Steps => [
        pin(`@iova-of-${ioas.slice(1)}`, BUFFER),
        copy(`@iova-of-${ioas.slice(1)}`, START, BUFFER, "@ioas", ioas),
        ...checkEach(given, START, BUFFER, 0),
      ];
      return [
        ...filled("@ioas2"),
        createAccess("@ioas2"),
        ...pinAndCopy("@ioas2"),
        ...filled("@ioas3"),
        moveAccess("@ioas3"),
        unmap(START, BUFFER),
        destroy("@iommufd", "@ioas2"),
        ...pinAndCopy("@ioas3"),
        unpin(),
        close("@access"),
        destroy("@iommufd", "@ioas3"),
      ];
    },
  ),
  ...inVariants("replace", "a page table that an attach made goes with its last mock", DOMAIN_VARIANTS, ({ mocks }) => [
    allocIoas("@iommufd", "@ioas2"),
    replace("@stdev1", "@ioas2"),
    ...(mocks === 1
      ? [refused("ENOENT", replace("@stdev1", "@hwpt1")), replace("@stdev1", "@ioas2")]
      : [replace("@stdev1", "@ioas2"), replace("@stdev1", "@hwpt2"), replace("@stdev1", "@hwpt2")]),
    replace("@stdev1", "@ioas"),
    destroy("@iommufd", "@ioas2"),
  ]),
  ...inVariants(
    "alloc-hwpt",
    "a mock moves between page tables, and those that it is attached to stay",
    DOMAIN_VARIANTS,
    ({ mocks }) =>
      upTo(mocks).flatMap((i) => {
        const [stdev, devid] = [`@stdev${i + 1}`, `@devid${i + 1}`];
        return [
          refused("EOPNOTSUPP", refusedHwpt(devid, "@ioas", { flags: 0xffff_fffe })),
          allocHwpt(devid, "@ioas", {}, "@table1"),
          allocHwpt(devid, "@ioas", { flags: NEST_PARENT }, "@table2"),
          replace(stdev, "@table1"),
          refused("EBUSY", destroy("@iommufd", "@table1")),
          replace(stdev, "@table2"),
          refused("EBUSY", destroy("@iommufd", "@table2")),
          replace(stdev, "@ioas"),
          destroy("@iommufd", "@table2"),
          mock("@table1", 3),
          destroy("@iommufd", "@stdev3"),
          destroy("@iommufd", "@table1"),
        ];
      }),
  ),
];

const V1 = 1;
const V2 = 3;

/** TEST_F(vfio_compat_mock_domain, …): the mock's IOAS is VFIO's, and an IOMMU is chosen. */
function compat(id: string, title: string, steps: (type: number) => Steps): Scenario[] {
  return [V2, V1].map((type) =>
    scenario({
      id: `selftest-compat-${id}-${type === V1 ? "type1" : "type1v2"}`,
      title: `${title} (${type === V1 ? "VFIO_TYPE1_IOMMU" : "VFIO_TYPE1v2_IOMMU"})`,
      needs: WITH_MOCK,
      steps: [
        openIommufd(),
        allocIoas("@iommufd"),
        mock("@ioas"),
        setCompatIoas("@iommufd", "@ioas"),
        setIommu("@iommufd", type),
        ...steps(type),
      ],
    }),
  );
}

const unmapEverything = (iova: number, size: number): Call =>
  ioctl("@iommufd", "VFIO_IOMMU_UNMAP_DMA", { argsz: 24, flags: 2, iova, size });

const vfio: readonly Scenario[] = [
  ...compat("huge-pages", "the old type1 has no large pages", () => [hugePages(GET, 3)]),
  ...compat("map", "VFIO's commands map and unmap, and what is empty already is unmapped with success", () => [
    mapDma("@iommufd", START, BUFFER),
    unmapDma("@iommufd", START, BUFFER),
    unmapDma("@iommufd", START, BUFFER),
    mapDma("@iommufd", START, BUFFER),
    refused("EINVAL", unmapEverything(START, BUFFER)),
    unmapEverything(0, 0),
    ...upTo(16).map((i) => mapDma("@iommufd", START + i * PAGE, PAGE)),
    ...upTo(16).map((i) => unmapDma("@iommufd", START + ((i * 5) % 16) * PAGE, PAGE)),
  ]),
  ...compat("cut", "the old type1 cuts mappings, and v2 does not", (type) => [
    mapDma("@iommufd", START, BUFFER),
    ...upTo(16).map((i) => {
      const call = unmapDma("@iommufd", START + ((i * 5) % 16) * PAGE, PAGE);
      return type === V1 ? call : refused("ENOENT", call);
    }),
  ]),
];

const PASID_MOCK = 4;
const TABLE_DATA = { data_type: 0xdead, data_len: 4, data_uptr: { fields: { iotlb: 0x0bad_beef } } };
const withFaults = (fault: Value, flags = FAULT_ID_VALID): Fields => ({
  ...TABLE_DATA,
  flags,
  fault_id: fault,
});

const others: readonly Scenario[] = [
  scenario({
    id: "selftest-get-hw-info-pasid",
    title: "a device tells how many PASIDs it has, as many as a mock was asked for or none",
    needs: { ...WITH_MOCK, since: "6.15" },
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      mock("@ioas"),
      hwInfo("@devid", 8),
      test(
        "MOCK_DOMAIN_FLAGS",
        "@ioas",
        { dev_flags: PASID_MOCK },
        { binds: { out_stdev_id: "@stdev1", out_idev_id: "@devid1" } },
      ),
      hwInfo("@devid1", 8),
    ],
  }),
  scenario({
    id: "selftest-viommu-nested-iopf",
    title: "a page table that is nested in a virtual IOMMU has a fault queue, for devices that have joined",
    needs: { ...WITH_MOCK, since: "6.15" },
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      mock("@ioas"),
      allocHwpt("@devid", "@ioas", { flags: NEST_PARENT }, "@parent"),
      ioctl(
        "@iommufd",
        "IOMMU_VIOMMU_ALLOC",
        { size: 40, type: 0xdead_beef, dev_id: "@devid", hwpt_id: "@parent" },
        { binds: { out_viommu_id: "@viommu" } },
      ),
      allocFaultQueue(),
      refused("ENOENT", refusedHwpt("@devid", "@viommu", withFaults(0xffff_ffff))),
      refused("EOPNOTSUPP", refusedHwpt("@devid", "@viommu", withFaults("@fault", 0x8000_0004))),
      allocHwpt("@devid", "@viommu", withFaults("@fault"), "@nested"),
      refused("ENOENT", replace("@stdev", "@nested")),
      ioctl("@iommufd", "IOMMU_VDEVICE_ALLOC", {
        size: 24,
        viommu_id: "@viommu",
        dev_id: "@devid",
        virt_id: 0x99,
      }),
      replace("@stdev", "@nested"),
      refused("EBUSY", destroy("@iommufd", "@nested")),
      test("TRIGGER_IOPF", 0, { dev_id: "@devid", perm: 1, grpid: 2, addr: 0xdeadbeaf }),
      gives(40, read("@fault-queue", { count: 40 })),
      gives(8, write("@fault-queue", [1, 0, 0, 0, 0, 0, 0, 0])),
      replace("@stdev", "@ioas"),
      destroy("@iommufd", "@nested"),
      close("@fault-queue"),
      destroy("@iommufd", "@fault"),
    ],
  }),
];

/** All that follow the tests of iommufd.c. */
export const IOMMUFD_SELFTESTS: readonly Scenario[] = [...IOAS_SELFTESTS, ...domains, ...vfio, ...others];
