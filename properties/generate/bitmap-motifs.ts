/** An opening with a long range of which a mock tells what was written, in a bitmap that may lie over several pages. */
import { ioctl } from "../../model/ioctl-calls.ts";
import { MOCK_START } from "../../model/iommufd/selftest/mock-device.ts";
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import { type Dice, oneIn, pick, times } from "./dice.ts";
import { allocHwpt, DIRTY_TRACKING, IO_PAGE, type Make, mock, openIoas } from "./motif-calls.ts";
import type { Motif } from "./motifs.ts";

const FIXED_READ_WRITE = 7;
const HUGE_PAGES = 1;
const MIB = 1 << 20;
/** Bytes of IOVA that a word of a bitmap is about, where a bit is about the mock's smallest page. */
const WORD_SPAN = 64 * IO_PAGE;
/** Where in the program's memory the bitmap of what is to be written lies; answers lie behind it. */
const [SOURCE, ANSWERS] = [MIB, 2 * MIB];

const own = (offset: number): bigint => MEMORY.user + BigInt(offset);

/** A word for the bitmap: mostly of pages that begin one of the CPU's, as a page of those may be one of the mock's as well. */
function word(dice: Dice): bigint {
  const even = 1n << BigInt(2 * dice.roll(32));
  return oneIn(dice, 8) ? even << 1n : pick(dice, [even, even, 0x5555_5555_5555_5555n, 1n, 1n << 62n]);
}

/** A place for a bitmap: aligned to a page, to nothing, near the end of a page, or of the memory. */
function place(dice: Dice, length: number): number {
  const at = ANSWERS + dice.roll(8) * 16 * PAGE;
  if (oneIn(dice, 12)) return MEMORY.userSize - 1 - dice.roll(length);
  return at + pick(dice, [0, dice.roll(PAGE), PAGE - 1 - dice.roll(16)]);
}

/** Part of the range that is mapped, or all of it. */
function part(dice: Dice, mapped: number): { readonly iova: number; readonly length: number } {
  if (oneIn(dice, 3)) return { iova: MOCK_START, length: mapped };
  const first = dice.roll(mapped / PAGE);
  const length = pick(dice, [mapped - first * PAGE, (1 + dice.roll(mapped / PAGE - first)) * PAGE]);
  return { iova: MOCK_START + first * PAGE, length };
}

export const tellingAtLength: Motif = (on, make) => {
  const { dice } = on;
  const { iommufd, ioas } = openIoas(on, make);
  // Without large pages a page of the mock's page table is one of the CPU's.
  const plain = { size: 24, option_id: HUGE_PAGES, op: 0, object_id: ioas, val64: 0 };
  if (!oneIn(dice, 8)) make(ioctl(iommufd, "IOMMU_OPTION", plain));
  const { devid } = mock(on, make, iommufd, ioas);
  const mapped = pick(dice, [1, 2, 4, 16]) * MIB;
  const mapping = { size: 40, flags: FIXED_READ_WRITE, ioas_id: ioas, user_va: MEMORY.user, length: mapped };
  make(ioctl(iommufd, "IOMMU_IOAS_MAP", { ...mapping, iova: MOCK_START }));
  const table = allocHwpt(on, make, iommufd, devid, ioas, { flags: DIRTY_TRACKING });
  make(ioctl(iommufd, "IOMMU_HWPT_SET_DIRTY_TRACKING", { size: 16, flags: 1, hwpt_id: table }));
  for (const _ of times(1 + dice.roll(2), null)) {
    const written = part(dice, mapped);
    const words = Math.ceil(written.length / WORD_SPAN);
    const bytes = Math.ceil(written.length / IO_PAGE / 8);
    const set = pick(dice, [0, words - 1, dice.roll(words)]);
    make({ op: "store", at: own(SOURCE), offset: 8 * set, width: 8, value: word(dice) });
    const fields = { ...written, page_size: IO_PAGE, uptr: own(SOURCE) };
    make(ioctl(iommufd, "IOMMU_TEST_OP_DIRTY", { size: 72, op: 13, id: table, ...fields }));
    ask(dice, make, { iommufd, table, asked: oneIn(dice, 2) ? written : part(dice, mapped), bytes, set });
  }
};

interface Question {
  readonly iommufd: string;
  readonly table: string;
  readonly asked: { readonly iova: number; readonly length: number };
  readonly bytes: number;
  /** The word of what was written in which something is set. */
  readonly set: number;
}

/** Asks for a bitmap, and looks at some of its words. */
function ask(dice: Dice, make: Make, { iommufd, table, asked, bytes, set }: Question): void {
  const at = place(dice, bytes);
  const page_size = oneIn(dice, 6) ? PAGE : IO_PAGE;
  const flags = dice.roll(2);
  const fields = { size: 48, hwpt_id: table, flags, ...asked, page_size, data: own(at) };
  make(ioctl(iommufd, "IOMMU_HWPT_GET_DIRTY_BITMAP", fields));
  const first = Math.floor(at / 8) * 8;
  for (const word of [set, set + 1, dice.roll(Math.ceil(bytes / 8))]) {
    const offset = first + 8 * word;
    if (offset + 8 <= MEMORY.userSize) make({ op: "load", at: MEMORY.user, offset, width: 8 });
  }
}
