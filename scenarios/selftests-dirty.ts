/**
 * What the fixture iommufd_dirty_tracking of the kernel's iommufd.c checks of bitmaps: of every size, at addresses that are
 * aligned to nothing, and over several pages. A bitmap lies in the program's own memory, whose words are looked at.
 */
import { MOCK_START as START } from "../model/iommufd/selftest/mock-device.ts";
import { MEMORY } from "../model/kernel/memory-map.ts";
import type { Call } from "../model/program.ts";
import { allocIoas, openIommufd } from "./calls.ts";
import { look, put } from "./dma-calls.ts";
import { mock, test } from "./mocks.ts";
import { allocHwpt, bitmap, DIRTY_TRACKING, track } from "./page-table-calls.ts";
import { refused, type Scenario, type Step, scenario } from "./scenario.ts";
import { HALF, hugePages, mapAt, SET, upTo, WITH_MOCK } from "./selftest-calls.ts";

const KIB = 1024;
const MIB = KIB * KIB;
/** Bytes of IOVA that a word of a bitmap is about. */
const WORD_SPAN = 64 * HALF;
const NO_CLEAR = 1;

/** Where in the program's memory the bitmap of what is to be written lies, and the first of those with answers. */
const [SOURCE, ANSWERS] = [2 * MIB, 3 * MIB];
/** Apart from each other. */
const APART = 64 * KIB;
/** FIXTURE_VARIANT(iommufd_dirty_tracking) without large pages. */
const VARIANTS: readonly (readonly [id: string, size: number])[] = [
  ["8k", 8 * KIB],
  ["16k", 16 * KIB],
  ["64k", 64 * KIB],
  ["128k", 128 * KIB],
  ["320k", 320 * KIB],
  ["64m", 64 * MIB],
  ["128m", 128 * MIB],
];
/** At the begin of a page, within one, and near its end with the last bits of a byte in the next. */
const PLACES = [0, HALF, 0xff1];

/** As many words of a bitmap as are looked at: all of a short one, else its ends and the ends of its pages. */
function wordsOf(size: number): number[] {
  const count = Math.ceil(size / WORD_SPAN);
  if (count <= 8) return upTo(count);
  return [0, 1, 255, 256, 257, 509, 510, 511, 512, 513, count - 2, count - 1].filter((word) => word < count);
}

/** Every second page of a word's: to the last that the range has. */
function evenPages(size: number, word: number): number | bigint {
  const pages = Math.min(64, size / HALF - 64 * word);
  return BigInt.asUintN(pages, 0x5555_5555_5555_5555n);
}

/** Maps all of a range, 16 MiB at once; it is the same memory again and again. */
function mapAll(size: number): Call[] {
  const count = Math.ceil(size / MEMORY.userSize);
  return upTo(count).map((i) => mapAt(START + i * MEMORY.userSize, Math.min(size, MEMORY.userSize)));
}

function steps(size: number): Call[] {
  const words = wordsOf(size);
  const range = { iova: START, length: size, page_size: HALF };
  const address = (at: number): bigint => MEMORY.user + BigInt(at);
  let next = ANSWERS;
  /** Asks for the bitmap, into memory that is zero, and looks at its words and at those around them. */
  const ask = (place: number, flags: number): Call[] => {
    const at = next + place;
    next += APART;
    const first = Math.floor(at / 8) * 8;
    const seen = new Set(words.flatMap((word) => [first + 8 * word, first + 8 * (word + 1)]));
    return [bitmap("@table", { ...range, flags, data: address(at) }), ...[...seen].map((offset) => look(offset))];
  };
  return [
    openIommufd(),
    allocIoas("@iommufd"),
    hugePages(SET, 0),
    mock("@ioas"),
    ...mapAll(size),
    allocHwpt("@devid", "@ioas", { flags: DIRTY_TRACKING }),
    track("@table", 1),
    ...words.map((word) => put(SOURCE + 8 * word, evenPages(size, word))),
    ...PLACES.flatMap((place) => [
      test("DIRTY", "@table", { ...range, uptr: address(SOURCE) }),
      ...ask(place, NO_CLEAR),
      ...ask(place, 0),
      ...ask(place, 0),
    ]),
  ];
}

/** What is written of a bitmap whose end is a hole, and what is then still to be told. */
const intoHole = (): (Call | Step)[] => [
  openIommufd(),
  allocIoas("@iommufd"),
  hugePages(SET, 0),
  mock("@ioas"),
  mapAt(START, 2 * MIB),
  allocHwpt("@devid", "@ioas", { flags: DIRTY_TRACKING }),
  track("@table", 1),
  put(SOURCE, 1),
  test("DIRTY", "@table", {
    iova: START,
    length: 2 * MIB,
    page_size: HALF,
    uptr: MEMORY.user + BigInt(SOURCE),
  }),
  // The bitmap has 128 bytes; what is dirty is told by the first.
  bitmap("@table", { iova: START, length: 2 * MIB, page_size: HALF, data: MEMORY.user + BigInt(MEMORY.userSize - 8) }),
  look(MEMORY.userSize - 8),
];

export const DIRTY_SELFTESTS: readonly Scenario[] = [
  ...VARIANTS.map(([id, size]) =>
    scenario({
      id: `selftest-dirty-bitmap-${id}`,
      title: `every second page that a mock wrote to is told, once or again, wherever the bitmap lies (${id})`,
      needs: WITH_MOCK,
      steps: steps(size),
    }),
  ),
  scenario({
    id: "dirty-bitmap-into-hole",
    title: "a bitmap has to be there as far as something is to be told",
    needs: WITH_MOCK,
    steps: intoHole(),
  }),
  scenario({
    id: "dirty-bitmap-read-only",
    breaks: "dirty-bitmap-error-lost",
    title: "a bitmap in memory that can only be read is refused, and nothing is lost",
    needs: WITH_MOCK,
    steps: [
      ...intoHole(),
      put(SOURCE, 5),
      test("DIRTY", "@table", { iova: START, length: 2 * MIB, page_size: HALF, uptr: MEMORY.user + BigInt(SOURCE) }),
      refused("EFAULT", bitmap("@table", { iova: START, length: 2 * MIB, page_size: HALF, data: MEMORY.userReadonly })),
      bitmap("@table", { iova: START, length: 2 * MIB, page_size: HALF, data: MEMORY.user + BigInt(ANSWERS) }),
      look(ANSWERS),
    ],
  }),
];
