/** Memory of several processes in an IOAS: whose is pinned, and what of one that has ended. They follow the kernel's own tests. */
import { MOCK_START as START } from "../model/iommufd/selftest/mock-device.ts";
import { PAGE } from "../model/kernel/memory-map.ts";
import type { Call } from "../model/program.ts";
import { allocIoas, openIommufd, pinned } from "./calls.ts";
import { look, put } from "./dma-calls.ts";
import { mock, test } from "./mocks.ts";
import { by, exit, fork, KIB } from "./process-calls.ts";
import { gives, refused, type Scenario, scenario } from "./scenario.ts";
import {
  BUFFER,
  checkMap,
  IOAS_VARIANTS,
  inVariants,
  mapAt,
  mapping,
  upTo,
  type Variant,
  WITH_MOCK,
} from "./selftest-calls.ts";

const [FIXED, READ_ONLY] = [1, 4];
const RW = 8;
const createAccess = test("CREATE_ACCESS", "@ioas", { op: 5 }, { binds: { out_access_fd: "@access" } });
/** Has an access read words of a mapping. */
const readAt = (iova: number): Call =>
  test("ACCESS_RW", "@access", { op: RW, iova, length: 16, uptr: { fields: { word_0: 1, word_1: 1 } } });
const writeAt = (iova: number): Call =>
  test("ACCESS_RW", "@access", { op: RW, iova, length: 16, uptr: { fields: { word_0: 5, word_1: 6 } }, flags: 1 });

const FIRST = START + 8;
const ACROSS = START + PAGE - 8;

/** Maps memory of another process, which holds something else by then. */
const mappedByOther: readonly Call[] = [
  put(8, 0x11),
  createAccess,
  fork,
  by(put(8, 0x22)),
  by(put(PAGE - 8, 0x33)),
  by(mapAt(START, BUFFER)),
];

export const IOMMUFD_PROCESSES: readonly Scenario[] = [
  ...inVariants(
    "fork-gone",
    "memory of a process that has ended is there for whoever has it pinned, and for nobody else",
    IOAS_VARIANTS,
    ({ mocks }: Variant) => [
      ...mappedByOther,
      exit,
      ...(mocks > 0
        ? [mock("@ioas", 9), readAt(FIRST), readAt(ACROSS), writeAt(FIRST), readAt(FIRST)]
        : [refused("EFAULT", mock("@ioas", 9)), refused("EFAULT", readAt(FIRST)), refused("EFAULT", readAt(ACROSS))]),
    ],
  ),
  ...inVariants(
    "fork-present",
    "memory of another process is pinned, read and written where it is",
    IOAS_VARIANTS,
    () => [
      ...mappedByOther,
      mock("@ioas", 9),
      readAt(FIRST),
      readAt(ACROSS),
      writeAt(FIRST),
      by(look(8)),
      look(8),
      gives(0, pinned),
      gives((BUFFER / PAGE) * KIB, by(pinned)),
      by(test("ACCESS_RW", "@access", { op: RW, iova: FIRST, length: 16, uptr: { fields: {} } })),
      exit,
      readAt(FIRST),
    ],
  ),
  scenario({
    id: "selftest-ro-unshare",
    title:
      "memory that is mapped to be read stays where it is pinned when it is written, though it was another's or nobody's before",
    needs: WITH_MOCK,
    steps: [
      openIommufd(),
      allocIoas("@iommufd"),
      put(0, 1),
      fork,
      mock("@ioas", 1),
      mapping({ flags: READ_ONLY | FIXED, iova: START, length: 2 * PAGE }),
      ...upTo(2).map((page) => checkMap("@hwpt1", START + page * PAGE, PAGE, page * PAGE)),
      put(0, 2),
      put(PAGE, 3),
      ...upTo(2).map((page) => checkMap("@hwpt1", START + page * PAGE, PAGE, page * PAGE)),
      by(put(0, 4)),
      checkMap("@hwpt1", START, PAGE, 0),
      refused("EINVAL", by(checkMap("@hwpt1", START, PAGE, 0))),
      exit,
      checkMap("@hwpt1", START, PAGE, 0),
    ],
  }),
];
