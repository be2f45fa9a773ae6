/** Accesses, as emulated devices use them: the selftests' stand in for what such a device does with an IOAS. */
import type { Around } from "../model/ioctl-calls.ts";
import { MOCK_START as START } from "../model/iommufd/selftest/mock-device.ts";
import { MEMORY, PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Fields, FieldValue, Value } from "../model/program.ts";
import { U64_MAX } from "../model/uapi/u64.ts";
import {
  allocIoas,
  attach,
  bind,
  close,
  destroy,
  ioctl,
  openCdev,
  openIommufd,
  pinned,
  setCompatIoas,
  setIommu,
  unmap,
} from "./calls.ts";
import { gives, refused, type Scenario, type Step, scenario } from "./scenario.ts";

const ACCESS = { since: "6.6", kconfig: ["IOMMUFD", "IOMMUFD_TEST"] } as const;
const KIB = PAGE / 1024;

const test = (name: string, op: number, fields: Fields, around: Around = {}): Call =>
  ioctl("@iommufd", `IOMMU_TEST_OP_${name}`, { size: 72, op, ...fields }, around);

const PINS = 1;
const create = (ioas: Value, flags = PINS, access = "@access"): Call =>
  test("CREATE_ACCESS", 5, { id: ioas, flags }, { binds: { out_access_fd: access } });
const replace = (access: Value, ioas: Value): Call => test("ACCESS_REPLACE_IOAS", 11, { id: access, ioas_id: ioas });
const WRITE = 1;
const NTH_MAPPING = 1 << 16;
const pages = (fields: Fields, around: Around = { binds: { out_access_pages_id: "@pin" } }): Call =>
  test("ACCESS_PAGES", 7, { id: "@access", ...fields }, around);
const unpin = (pin: Value = "@pin"): Call => test("DESTROY_ACCESS_PAGES", 6, { id: "@access", access_pages_id: pin });
const checkRefs = (refs: number, uptr: bigint = MEMORY.user): Call =>
  test("MD_CHECK_REFS", 4, { length: PAGE, uptr, refs });
const rw = (fields: Fields): Call => test("ACCESS_RW", 8, { id: "@access", ...fields });
const SLOW = 4;
const READ_WRITE = 7;
const mapping = (iova: number, length: number, user_va: bigint = MEMORY.user, flags = READ_WRITE): Call =>
  ioctl("@iommufd", "IOMMU_IOAS_MAP", { size: 40, flags, ioas_id: "@ioas", user_va, length, iova });
const READ_ONLY = 5;
const WRITE_ONLY = 3;

const TYPE1 = 1;
/** VFIO's own command on the IOAS that is set for it. */
const unmapDma = (iova: number, size: number): Call =>
  ioctl("@iommufd", "VFIO_IOMMU_UNMAP_DMA", { argsz: 24, iova, size });

const withAccess = [openIommufd(), allocIoas("@iommufd"), create("@ioas")];
/** What is written, and room for what is read. */
const words = (word_0 = 0, word_1 = 0): FieldValue => ({ fields: { word_0, word_1 } });

export const ACCESSES: readonly Scenario[] = [
  scenario({
    id: "access-life",
    title: "an access keeps its IOAS from being destroyed, until its descriptor is closed",
    needs: ACCESS,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      refused("EOPNOTSUPP", create("@ioas", 2)),
      refused("ENOENT", create(77)),
      refused("EFAULT", test("CREATE_ACCESS", 5, { id: "@ioas" }, { place: "readonly" })),
      create("@ioas"),
      refused("EBUSY", destroy("@iommufd", "@ioas")),
      refused("EINVAL", { op: "read", fd: "@access", count: 8 }),
      refused("EBADFD", replace("@iommufd", "@ioas")),
      refused("EBADFD", replace(-1, "@ioas")),
      close("@access"),
      destroy("@iommufd", "@ioas"),
    ],
  }),
  scenario({
    id: "access-outlives",
    title: "an access outlives the descriptor of its iommufd, and is served through any other",
    needs: ACCESS,
    steps: [
      ...withAccess,
      mapping(0, PAGE),
      close("@iommufd"),
      openIommufd(),
      pages({ iova: 0, length: PAGE, uptr: MEMORY.user }),
      gives(KIB, pinned),
      close("@access"),
      gives(0, pinned),
    ],
  }),
  scenario({
    id: "access-pins",
    title:
      "what an access pins is pinned once, with page tables and other pins of the same pages, and as long as one is left",
    needs: { ...ACCESS, mock: true },
    steps: [
      ...withAccess,
      mapping(START, 4 * PAGE),
      gives(0, pinned),
      pages({ iova: START, length: PAGE, uptr: MEMORY.user }),
      gives(KIB, pinned),
      pages({ iova: START, length: 2 * PAGE, flags: WRITE, uptr: 0 }, { binds: { out_access_pages_id: "@pin2" } }),
      gives(2 * KIB, pinned),
      checkRefs(1),
      test("MOCK_DOMAIN", 2, { id: "@ioas" }, { binds: { out_stdev_id: "@stdev" } }),
      gives(4 * KIB, pinned),
      checkRefs(1),
      unpin(),
      unpin("@pin2"),
      gives(4 * KIB, pinned),
      refused("ENOENT", unpin()),
      pages({ iova: START + PAGE, length: 1 }),
      destroy("@iommufd", "@stdev"),
      gives(KIB, pinned),
      checkRefs(0),
      checkRefs(1, MEMORY.user + BigInt(PAGE)),
      close("@access"),
      gives(0, pinned),
    ],
  }),
  scenario({
    id: "access-pin-refused",
    title: "what can't be pinned, and that nothing stays pinned of it",
    needs: ACCESS,
    steps: [
      ...withAccess,
      create("@ioas", 0, "@other"),
      mapping(0, 2 * PAGE),
      mapping(2 * PAGE, PAGE, MEMORY.user, READ_ONLY),
      mapping(3 * PAGE, PAGE, MEMORY.user, WRITE_ONLY),
      mapping(8 * PAGE, PAGE, MEMORY.hole),
      refused("ENOMEM", pages({ iova: 0, length: (16 << 20) + 1 })),
      refused("EOPNOTSUPP", pages({ iova: 0, length: PAGE, flags: 2 })),
      refused("EBADFD", pages({ id: "@iommufd", iova: 0, length: PAGE })),
      refused("EOPNOTSUPP", pages({ id: "@other", iova: 0, length: PAGE })),
      refused("EINVAL", pages({ iova: 0, length: 0 })),
      refused("EOVERFLOW", pages({ iova: U64_MAX - 1n, length: PAGE })),
      refused("EINVAL", pages({ iova: 8, length: 8 })),
      refused("EPERM", pages({ iova: 0, length: 3 * PAGE, flags: WRITE })),
      refused("EPERM", pages({ iova: 0, length: 4 * PAGE })),
      refused("ENOENT", pages({ iova: 4 * PAGE, length: PAGE })),
      refused("EFAULT", pages({ iova: 8 * PAGE, length: PAGE })),
      refused("EBADE", pages({ iova: 0, length: PAGE, uptr: MEMORY.user + BigInt(PAGE) })),
      refused("EFAULT", pages({ iova: 0, length: PAGE, uptr: MEMORY.hole })),
      refused("EOVERFLOW", pages({ iova: 0, length: PAGE, uptr: U64_MAX - BigInt(PAGE - 1) })),
      refused("EFAULT", pages({ iova: 0, length: PAGE }, { place: "readonly" })),
      gives(0, pinned),
      pages({ iova: 1, length: PAGE, flags: NTH_MAPPING }),
      gives(KIB, pinned),
    ],
  }),
  scenario({
    id: "access-unmapped",
    title: "unmapping what is pinned makes the access let go of it; a refused one does not",
    needs: ACCESS,
    steps: [
      ...withAccess,
      mapping(0, 2 * PAGE),
      mapping(2 * PAGE, 2 * PAGE),
      pages({ iova: 0, length: 4 * PAGE }),
      pages({ iova: 3 * PAGE, length: PAGE }, { binds: { out_access_pages_id: "@pin2" } }),
      gives(4 * KIB, pinned),
      refused("ENOENT", unmap("@iommufd", "@ioas", 0, PAGE)),
      refused("ENOENT", unmap("@iommufd", "@ioas", 8 * PAGE, PAGE)),
      gives(4 * KIB, pinned),
      unmap("@iommufd", "@ioas", 0, 2 * PAGE),
      gives(KIB, pinned),
      refused("ENOENT", unpin()),
      unpin("@pin2"),
      gives(0, pinned),
      pages({ iova: 2 * PAGE, length: PAGE }),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
      gives(0, pinned),
    ],
  }),
  scenario({
    id: "access-cut",
    title: "what an access has pinned can't be cut in two",
    needs: ACCESS,
    steps: [
      ...withAccess,
      setCompatIoas("@iommufd", "@ioas"),
      setIommu("@iommufd", TYPE1),
      mapping(0, 4 * PAGE),
      pages({ iova: 2 * PAGE, length: PAGE }),
      refused("EINVAL", unmapDma(0, PAGE)),
      gives(KIB, pinned),
      unpin(),
      unmapDma(0, PAGE),
      pages({ iova: 2 * PAGE, length: PAGE }),
      unmapDma(PAGE, 3 * PAGE),
      gives(0, pinned),
      refused("ENOENT", unpin()),
    ],
  }),
  scenario({
    id: "access-moves",
    title: "an access that changes its IOAS lets go of what it has pinned; where it can't, nothing changes",
    needs: ACCESS,
    steps: [
      ...withAccess,
      allocIoas("@iommufd", "@ioas2"),
      mapping(0, PAGE),
      ioctl("@iommufd", "IOMMU_IOAS_MAP", {
        size: 40,
        flags: READ_WRITE,
        ioas_id: "@ioas2",
        user_va: MEMORY.user,
        length: 512,
        iova: 0,
      }),
      pages({ iova: 0, length: PAGE }),
      refused("EADDRINUSE", replace("@access", "@ioas2")),
      refused("ENOENT", replace("@access", 77)),
      replace("@access", "@ioas"),
      gives(KIB, pinned),
      unmap("@iommufd", "@ioas2", 0, 512),
      replace("@access", "@ioas2"),
      gives(0, pinned),
      refused("ENOENT", unpin()),
      destroy("@iommufd", "@ioas"),
      refused("EBUSY", destroy("@iommufd", "@ioas2")),
    ],
  }),
  scenario({
    id: "access-alignment",
    title: "an access that pins works on pages, one that only reads and writes on bytes",
    needs: ACCESS,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      mapping(0, 100, MEMORY.user + 4n),
      refused("EADDRINUSE", create("@ioas")),
      create("@ioas", 0),
      mapping(100, 100, MEMORY.user + 104n),
      rw({ iova: 96, length: 8, uptr: words(1), flags: WRITE }),
      rw({ iova: 90, length: 32, uptr: words() }),
      close("@access"),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
      create("@ioas"),
      refused("EINVAL", mapping(0, 100)),
    ],
  }),
  scenario({
    id: "copy-misaligned",
    breaks: "copy-misaligned",
    title: "mappings that are not aligned can't be copied to where an emulated device works on pages, together neither",
    needs: { since: "6.6", kconfig: ["IOMMUFD", "VFIO_DEVICE_CDEV"] },
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      mapping(0, 1024),
      mapping(1024, 3072, MEMORY.user + BigInt(4 * PAGE)),
      allocIoas("@iommufd", "@ioas2"),
      openCdev("mtty0"),
      bind("@device", "@iommufd"),
      attach("@device", "@ioas2"),
      refused(
        "EINVAL",
        ioctl("@iommufd", "IOMMU_IOAS_COPY", {
          size: 40,
          flags: READ_WRITE,
          dst_ioas_id: "@ioas2",
          src_ioas_id: "@ioas",
          length: PAGE,
        }),
      ),
    ],
  }),
  scenario({
    id: "access-reads-and-writes",
    title: "what is written through an access is read through it, from mapping to mapping, by either way",
    needs: ACCESS,
    steps: [
      ...withAccess,
      mapping(0, PAGE),
      mapping(PAGE, 2 * PAGE, MEMORY.user + BigInt(4 * PAGE)),
      ...[0, SLOW].flatMap((way): readonly (Call | Step)[] => [
        rw({ iova: PAGE - 8, length: 16, uptr: words(0x1234_5678 + way, 0x9abc_def0), flags: WRITE | way }),
        rw({ iova: PAGE - 8, length: 16, uptr: words(), flags: way }),
        rw({ iova: 2 * PAGE - 8, length: 16, uptr: words(7 + way, 9), flags: WRITE | way }),
        rw({ iova: 2 * PAGE - 8, length: 16, uptr: words(), flags: way }),
        rw({ iova: 0, length: 3 * PAGE, uptr: MEMORY.user + BigInt(32 * PAGE), flags: way }),
      ]),
      mapping(8 * PAGE, 3 * PAGE, MEMORY.user + BigInt(32 * PAGE)),
      rw({ iova: 9 * PAGE - 8, length: 16, uptr: words() }),
      rw({ iova: 1n | (8n << 32n), length: 8, uptr: words(), flags: NTH_MAPPING }),
      gives(0, pinned),
    ],
  }),
  scenario({
    id: "access-rw-refused",
    title: "what can't be read or written; what lies below the first obstacle is written",
    needs: ACCESS,
    steps: [
      ...withAccess,
      mapping(0, PAGE),
      mapping(PAGE, PAGE, MEMORY.user + BigInt(PAGE), READ_ONLY),
      mapping(2 * PAGE, PAGE, MEMORY.user, WRITE_ONLY),
      mapping(3 * PAGE, PAGE, MEMORY.hole),
      mapping(4 * PAGE, 2 * PAGE, MEMORY.userReadonly),
      refused("ENOMEM", rw({ iova: 0, length: (16 << 20) + 1 })),
      refused("EOPNOTSUPP", rw({ iova: 0, length: 8, flags: 2 })),
      refused("EBADFD", rw({ id: -1, iova: 0, length: 8 })),
      refused("EFAULT", rw({ iova: U64_MAX, length: 8, uptr: MEMORY.hole, flags: WRITE })),
      refused("EINVAL", rw({ iova: 0, length: 0, uptr: words() })),
      refused("EOVERFLOW", rw({ iova: U64_MAX, length: 8, uptr: words() })),
      refused("EPERM", rw({ iova: PAGE - 8, length: 16, uptr: words(5, 6), flags: WRITE })),
      rw({ iova: PAGE - 8, length: 16, uptr: words() }),
      refused("EPERM", rw({ iova: 2 * PAGE, length: 8, uptr: words() })),
      refused("EFAULT", rw({ iova: 3 * PAGE, length: 8, uptr: words() })),
      refused("EFAULT", rw({ iova: 4 * PAGE, length: 8, uptr: words(), flags: WRITE })),
      rw({ iova: 4 * PAGE, length: 8, uptr: words() }),
      rw({ iova: 4 * PAGE, length: 8, uptr: words(), flags: SLOW }),
      refused("EFAULT", rw({ iova: 5 * PAGE - 8, length: 16, uptr: words(), flags: SLOW })),
      refused("ENOENT", rw({ iova: 6 * PAGE, length: 8, uptr: words() })),
      refused("EFAULT", rw({ iova: 0, length: 8, uptr: MEMORY.hole })),
      refused("EFAULT", rw({ iova: 0, length: 8, uptr: MEMORY.userReadonly })),
    ],
  }),
];
