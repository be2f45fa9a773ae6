/** Memory in I/O address spaces: copies that share it, ranges that stay open to it, and whose limit it counts against. */
import { MEMORY, PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Fields, Place, StructArgument } from "../model/program.ts";
import { U64_MAX } from "../model/uapi/u64.ts";
import {
  allocIoas,
  attach,
  bind,
  destroy,
  detach,
  ioctl,
  locked,
  map,
  openCdev,
  openIommufd,
  pinned,
  throughNode,
  unmap,
} from "./calls.ts";
import { CDEV, IOMMUFD } from "./needs.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";

const READ = 4;
const READ_WRITE = 6;
const FIXED = 1;
/** KiB of a page, as probes tell. */
const KIB = 4;

/** A device that is attached to an IOAS, and a second IOAS. */
const attached = [
  ...throughNode("edu0"),
  allocIoas("@iommufd"),
  allocIoas("@iommufd", "@ioas1"),
  attach("@device", "@ioas"),
];

/** Copies from `@ioas1` to `@ioas`, unless told. */
const copy = (fields: Fields, place?: Place): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_IOAS_COPY",
    { size: 40, flags: READ_WRITE, dst_ioas_id: "@ioas", src_ioas_id: "@ioas1", length: PAGE, ...fields },
    { ...(place === undefined ? {} : { place }), binds: { dst_iova: "@iova" } },
  );

/** Allows ranges of `@ioas`. */
const allow = (count: number, ranges: Fields | StructArgument, fields: Fields = {}): Call =>
  ioctl("@iommufd", "IOMMU_IOAS_ALLOW_IOVAS", {
    size: 24,
    ioas_id: "@ioas",
    num_iovas: count,
    allowed_iovas: isArgument(ranges) ? ranges : { fields: ranges },
    ...fields,
  });

function isArgument(ranges: Fields | StructArgument): ranges is StructArgument {
  return typeof ranges["fields"] === "object";
}

/** Maps memory where the kernel likes. */
const mapAnywhere = (fields: Fields = {}): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_IOAS_MAP",
    { size: 40, flags: READ_WRITE, ioas_id: "@ioas", user_va: MEMORY.user, length: PAGE, ...fields },
    { binds: { iova: "@iova" } },
  );

const [RLIMIT_MODE, HUGE_PAGES] = [0, 1];
const [SET, GET] = [0, 1];
const option = (option_id: number, op: number, fields: Fields = {}, place?: Place): Call =>
  ioctl("@iommufd", "IOMMU_OPTION", { size: 24, option_id, op, ...fields }, place === undefined ? {} : { place });

const withoutLock: Call = { op: "capset", without: ["CAP_IPC_LOCK"] };
const limit = (pages: number): Call => ({
  op: "prlimit",
  resource: "RLIMIT_MEMLOCK",
  soft: pages * PAGE,
  hard: U64_MAX,
});

export const IOAS_MEMORY: readonly Scenario[] = [
  scenario({
    id: "copy-pins-once",
    title: "what copies share is pinned and counted once, and as long as one of them needs it",
    needs: CDEV,
    steps: [
      ...attached,
      withoutLock,
      limit(8),
      map("@iommufd", "@ioas1", 0, 8 * PAGE),
      gives(0, pinned),
      copy({ flags: READ_WRITE | FIXED, length: 4 * PAGE, dst_iova: 0x10_0000 }),
      gives(4 * KIB, pinned),
      copy({ flags: READ_WRITE | FIXED, src_iova: 2 * PAGE, length: 6 * PAGE, dst_iova: 0x20_0000 }),
      gives(8 * KIB, pinned),
      copy({ flags: READ | FIXED, length: 8 * PAGE, dst_iova: 0x30_0000 }),
      gives(8 * KIB, pinned),
      refused("ENOMEM", mapAnywhere()),
      destroy("@iommufd", "@ioas1"),
      unmap("@iommufd", "@ioas", 0x30_0000, 8 * PAGE),
      gives(8 * KIB, pinned),
      unmap("@iommufd", "@ioas", 0x10_0000, 4 * PAGE),
      gives(6 * KIB, pinned),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
      gives(0, pinned),
    ],
  }),
  scenario({
    id: "copy-source",
    title: "every byte of what is copied must be mapped, and the source is looked at before the destination",
    needs: IOMMUFD,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      allocIoas("@iommufd", "@ioas1"),
      map("@iommufd", "@ioas1", 0, 2 * PAGE),
      map("@iommufd", "@ioas1", 2 * PAGE, PAGE),
      map("@iommufd", "@ioas1", 4 * PAGE, PAGE),
      refused("EOPNOTSUPP", copy({ flags: 8 })),
      refused("EOVERFLOW", copy({ src_iova: U64_MAX })),
      refused("EINVAL", copy({ flags: FIXED })),
      refused("ENOENT", copy({ src_ioas_id: 0 })),
      refused("EINVAL", copy({ length: 0 })),
      refused("EOVERFLOW", copy({ src_iova: U64_MAX - BigInt(PAGE), length: 2 * PAGE })),
      refused("ENOENT", copy({ src_iova: PAGE, length: 3 * PAGE, dst_ioas_id: 0 })),
      refused("ENOENT", copy({ src_iova: 3 * PAGE })),
      refused("ENOENT", copy({ dst_ioas_id: 0 })),
      // A part of one mapping and all of another.
      copy({ flags: READ_WRITE | FIXED, src_iova: PAGE, length: 2 * PAGE, dst_iova: 0x10_0000 }),
      refused("ENOENT", unmap("@iommufd", "@ioas", 0x10_0000, 1)),
      unmap("@iommufd", "@ioas", 0x10_0000, PAGE),
      unmap("@iommufd", "@ioas", 0x10_1000, PAGE),
    ],
  }),
  scenario({
    id: "copy-rights",
    title: "memory that was mapped to be read is copied to be read, whatever a copy allows",
    needs: IOMMUFD,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      allocIoas("@iommufd", "@ioas1"),
      mapAnywhere({ ioas_id: "@ioas1", flags: READ | FIXED }),
      refused("EPERM", copy({})),
      refused("EEXIST", copy({ flags: READ_WRITE | FIXED, dst_ioas_id: "@ioas1" })),
      copy({ flags: READ | FIXED, dst_iova: PAGE }),
      map("@iommufd", "@ioas1", PAGE, PAGE),
      copy({ flags: READ | FIXED, src_iova: PAGE, dst_iova: 2 * PAGE }),
      copy({ flags: READ_WRITE | FIXED, src_ioas_id: "@ioas", src_iova: 2 * PAGE, dst_iova: 3 * PAGE }),
    ],
  }),
  scenario({
    id: "copy-to-function",
    title: "a copy that a device is to reach must be of whole pages that are there",
    needs: CDEV,
    steps: [
      ...attached,
      mapAnywhere({ ioas_id: "@ioas1", flags: READ_WRITE | FIXED, length: 2 * PAGE + 1, user_va: MEMORY.user }),
      refused("EINVAL", copy({ length: PAGE + 1 })),
      refused("EINVAL", copy({ src_iova: 1, dst_iova: PAGE, flags: READ_WRITE | FIXED })),
      refused("EINVAL", copy({ src_iova: 1 })),
      mapAnywhere({ ioas_id: "@ioas1", flags: READ_WRITE | FIXED, iova: 0x10_0000 }),
      mapAnywhere({ ioas_id: "@ioas1", flags: READ_WRITE | FIXED, iova: 0x10_1000, user_va: MEMORY.hole }),
      refused("EFAULT", copy({ src_iova: 0x10_0000, length: 2 * PAGE })),
      gives(0, pinned),
      copy({ src_iova: 0x10_0000 }),
      gives(KIB, pinned),
    ],
  }),
  scenario({
    id: "allowed-ranges",
    title: "the kernel places mappings in the allowed ranges, and no device can reserve a part of them",
    needs: CDEV,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      refused("EINVAL", allow(1, { start_0: PAGE, last_0: PAGE })),
      refused("EINVAL", allow(2, { start_0: PAGE, last_0: 3 * PAGE, start_1: 3 * PAGE, last_1: 4 * PAGE })),
      refused("EINVAL", allow(2, { start_0: PAGE, last_0: 3 * PAGE - 1 })),
      refused("EFAULT", allow(2, { fields: { start_0: PAGE, last_0: 2 * PAGE }, place: 16 })),
      refused("EFAULT", allow(1, {}, { allowed_iovas: 0 })),
      allow(2, { start_0: 3 * PAGE, last_0: 4 * PAGE - 1, start_1: PAGE, last_1: 3 * PAGE - 1 }),
      mapAnywhere({ length: 2 * PAGE, user_va: MEMORY.user }),
      refused("ENOSPC", mapAnywhere({ length: 2 * PAGE })),
      // Where the caller says where, they are no limit.
      map("@iommufd", "@ioas", 0x10_0000, PAGE),
      allow(0, {}, { allowed_iovas: 0 }),
      mapAnywhere({ length: 2 * PAGE }),
      allow(1, { start_0: 0xfee0_0000, last_0: 0xfeff_ffff }),
      openCdev("edu0"),
      bind("@device", "@iommufd"),
      refused("EADDRINUSE", attach("@device", "@ioas")),
      allow(1, { start_0: 2n ** 60n, last_0: 2n ** 61n }),
      refused("EADDRINUSE", attach("@device", "@ioas")),
      allow(1, { start_0: PAGE, last_0: 16 * PAGE }),
      attach("@device", "@ioas"),
      refused("EADDRINUSE", allow(1, { start_0: 0xfee0_0000, last_0: 0xfeff_ffff })),
      mapAnywhere({ length: 4 * PAGE }),
    ],
  }),
  scenario({
    id: "rlimit-mode",
    title: "pinned memory counts for the user or for the process, as was set before the context had an object",
    needs: CDEV,
    steps: [
      openIommufd(),
      option(RLIMIT_MODE, GET),
      refused("EOPNOTSUPP", option(RLIMIT_MODE, 2)),
      refused("EOPNOTSUPP", option(7, GET)),
      refused("EOPNOTSUPP", option(RLIMIT_MODE, SET, { object_id: 1 })),
      refused("EINVAL", option(RLIMIT_MODE, SET, { val64: 2 })),
      { op: "capset", without: ["CAP_SYS_RESOURCE"] },
      refused("EPERM", option(RLIMIT_MODE, SET, { val64: 2 })),
      withoutLock,
      option(RLIMIT_MODE, SET, { val64: 1 }),
      option(RLIMIT_MODE, GET),
      ...attached.slice(1),
      refused("EBUSY", option(RLIMIT_MODE, SET, { val64: 2 })),
      limit(2),
      map("@iommufd", "@ioas", 0, 2 * PAGE),
      gives(2 * KIB, locked),
      gives(2 * KIB, pinned),
      refused("ENOMEM", mapAnywhere()),
      detach("@device"),
      gives(0, locked),
      gives(0, pinned),
    ],
  }),
  scenario({
    id: "huge-pages-off",
    title: "without large pages an IOAS takes whole pages only, and with them again any bytes",
    needs: IOMMUFD,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      refused("ENOENT", option(HUGE_PAGES, GET, { object_id: 77 })),
      refused("EOPNOTSUPP", option(HUGE_PAGES, 2, { object_id: "@ioas" })),
      refused("EINVAL", option(HUGE_PAGES, SET, { object_id: "@ioas", val64: 2 })),
      option(HUGE_PAGES, GET, { object_id: "@ioas" }),
      mapAnywhere({ flags: READ_WRITE | FIXED, iova: PAGE, length: 1 }),
      refused("EADDRINUSE", option(HUGE_PAGES, SET, { object_id: "@ioas" })),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
      option(HUGE_PAGES, SET, { object_id: "@ioas" }),
      option(HUGE_PAGES, GET, { object_id: "@ioas" }),
      refused("EINVAL", mapAnywhere({ length: 1 })),
      option(HUGE_PAGES, SET, { object_id: "@ioas", val64: 1 }),
      mapAnywhere({ length: 1 }),
    ],
  }),
  scenario({
    id: "huge-pages-of-function",
    title: "large pages stay on while a device can reach mappings, and can be taken up again at any time",
    needs: CDEV,
    steps: [
      ...attached,
      map("@iommufd", "@ioas", 0, PAGE),
      refused("EINVAL", option(HUGE_PAGES, SET, { object_id: "@ioas" })),
      unmap("@iommufd", "@ioas", 0, PAGE),
      option(HUGE_PAGES, SET, { object_id: "@ioas" }),
      map("@iommufd", "@ioas", 0, PAGE),
      option(HUGE_PAGES, SET, { object_id: "@ioas" }),
      option(HUGE_PAGES, SET, { object_id: "@ioas", val64: 1 }),
    ],
  }),
  scenario({
    id: "option-fault-stays",
    breaks: "ioas-fault-stays",
    title: "an option that can't be answered for, or a copy, is not done",
    needs: IOMMUFD,
    steps: [
      openIommufd(),
      option(RLIMIT_MODE, SET, { val64: 1 }),
      refused("EFAULT", option(RLIMIT_MODE, SET, { val64: 0 }, "readonly")),
      allocIoas("@iommufd"),
      allocIoas("@iommufd", "@ioas1"),
      refused("EFAULT", option(HUGE_PAGES, SET, { object_id: "@ioas" }, "readonly")),
      mapAnywhere({ length: 1 }),
      map("@iommufd", "@ioas1", 0, PAGE),
      refused("EFAULT", copy({ flags: READ_WRITE | FIXED, dst_iova: 0x10_0000 }, "readonly")),
      copy({ flags: READ_WRITE | FIXED, dst_iova: 0x10_0000 }),
    ],
  }),
];
