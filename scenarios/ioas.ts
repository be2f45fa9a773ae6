/** Corners of iommufd: what an IOAS takes and refuses at its ends, and for a function that is attached to it. */
import { MEMORY, PAGE } from "../model/kernel/memory-map.ts";
import type { Call, Fields, Place } from "../model/program.ts";
import { U64_MAX } from "../model/uapi/u64.ts";
import { allocIoas, attach, bind, ioctl, map, openCdev, openIommufd, throughNode, unmap } from "./calls.ts";
import { CDEV } from "./needs.ts";
import { refused, type Scenario, scenario } from "./scenario.ts";

const READ_WRITE = 6;
const FIXED_READ_WRITE = 7;

/** IOMMU_IOAS_MAP with these fields; the kernel chooses the IOVA unless told. */
const mapping = (fields: Fields): Call =>
  ioctl("@iommufd", "IOMMU_IOAS_MAP", { size: 40, flags: READ_WRITE, ioas_id: "@ioas", ...fields });

const [GET, SET, CLEAR] = [0, 1, 2];

/** IOMMU_VFIO_IOAS */
const vfioIoas = (op: number, place?: Place): Call =>
  ioctl(
    "@iommufd",
    "IOMMU_VFIO_IOAS",
    op === SET ? { size: 12, ioas_id: "@ioas", op } : { size: 12, op },
    place === undefined ? {} : { place },
  );

/** A function that is attached to an IOAS. */
const attached = [...throughNode("edu0"), allocIoas("@iommufd"), attach("@device", "@ioas")];

export const IOAS: readonly Scenario[] = [
  scenario({
    id: "ioas-of-function",
    title: "with a function attached memory is looked at when it is mapped, and there is no room above its reach",
    needs: CDEV,
    steps: [
      ...attached,
      refused("EFAULT", mapping({ user_va: MEMORY.userReadonly, length: PAGE })),
      refused("EFAULT", mapping({ user_va: MEMORY.hole, length: PAGE })),
      refused("ENOSPC", mapping({ user_va: MEMORY.user, length: 2 ** 50 })),
      refused("EINVAL", mapping({ flags: READ_WRITE | 1, user_va: MEMORY.user, length: PAGE, iova: 0xfee0_0000 })),
      map("@iommufd", "@ioas", 0, PAGE),
      unmap("@iommufd", "@ioas", 0, Number.MAX_SAFE_INTEGER),
    ],
  }),
  scenario({
    id: "ioas-ends",
    title: "mappings and unmappings at the ends of the address space, and not aligned",
    needs: CDEV,
    steps: [
      ...attached,
      refused("EINVAL", mapping({ user_va: MEMORY.user, length: PAGE + 1 })),
      refused("EINVAL", mapping({ user_va: MEMORY.user + 1n, length: PAGE })),
      refused("EINVAL", mapping({ flags: FIXED_READ_WRITE, user_va: MEMORY.user, length: PAGE, iova: 1 })),
      refused(
        "EOVERFLOW",
        mapping({ flags: FIXED_READ_WRITE, user_va: MEMORY.user, length: 2 * PAGE, iova: U64_MAX - BigInt(PAGE) + 1n }),
      ),
      refused("EOVERFLOW", mapping({ user_va: MEMORY.user, length: 2n ** 63n })),
      refused("EINVAL", unmap("@iommufd", "@ioas", 0, 0)),
      map("@iommufd", "@ioas", 0, PAGE),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
      unmap("@iommufd", "@ioas", 0, U64_MAX),
    ],
  }),
  scenario({
    id: "ioas-does-not-suit",
    title: "a function is not attached to an IOAS with mappings that are not aligned, out of its reach, or in its way",
    needs: CDEV,
    steps: [
      ...throughNode("edu0"),
      allocIoas("@iommufd"),
      map("@iommufd", "@ioas", 0x1001, 1),
      refused("EADDRINUSE", attach("@device", "@ioas")),
      unmap("@iommufd", "@ioas", 0x1001, 1),
      map("@iommufd", "@ioas", 2 ** 50, PAGE),
      refused("EADDRINUSE", attach("@device", "@ioas")),
      unmap("@iommufd", "@ioas", 2 ** 50, PAGE),
      map("@iommufd", "@ioas", 0xfee0_0000, PAGE),
      refused("EADDRINUSE", attach("@device", "@ioas")),
      unmap("@iommufd", "@ioas", 0xfee0_0000, PAGE),
      attach("@device", "@ioas"),
    ],
  }),
  scenario({
    id: "compat-ioas",
    title: "the IOAS that stands in for a container can be set, told, and taken away",
    needs: { since: "6.2", kconfig: ["IOMMUFD"] },
    steps: [
      openIommufd(),
      refused("ENODEV", vfioIoas(GET)),
      allocIoas("@iommufd"),
      vfioIoas(SET),
      vfioIoas(GET),
      refused("EFAULT", vfioIoas(GET, "readonly")),
      vfioIoas(CLEAR),
      refused("ENODEV", vfioIoas(GET)),
    ],
  }),
  scenario({
    id: "iommufd-read-only",
    title: "an iommufd that is open for reading has no shared mappings",
    needs: { since: "6.17", kconfig: ["IOMMUFD"] },
    steps: [
      { op: "open", node: { kind: "iommufd" }, as: "@iommufd", flags: 0 },
      refused("EINVAL", { op: "mmap", fd: "@iommufd", length: PAGE, prot: 1, offset: 0 }),
    ],
  }),
  scenario({
    id: "group-shares-page-table",
    title: "functions of one group are attached to one page table",
    needs: CDEV,
    steps: [
      ...throughNode("nic0.0"),
      openCdev("nic0.1", "@device1"),
      bind("@device1", "@iommufd", "@devid1"),
      allocIoas("@iommufd"),
      attach("@device", "@ioas"),
      allocIoas("@iommufd", "@ioas1"),
      refused("EINVAL", attach("@device1", "@ioas1", "@hwpt1")),
      attach("@device1", "@ioas", "@hwpt1"),
      attach("@device", "@ioas1", "@hwpt2"),
    ],
  }),
];
