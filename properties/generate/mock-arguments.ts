/**
 * Arguments for the ops of the kernel's selftests that ask what is mapped and pinned: they only say something where they are
 * mostly about what is there.
 */
import type { Area } from "../../model/iommufd/area.ts";
import { IommufdFile } from "../../model/iommufd/file.ts";
import type { IommufdContext } from "../../model/iommufd/objects.ts";
import { AccessFile } from "../../model/iommufd/selftest/access-file.ts";
import { DATA_SIZE } from "../../model/iommufd/selftest/access-memory.ts";
import type { File } from "../../model/kernel/file.ts";
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import type { Fields } from "../../model/program.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import type { Handles } from "./handles.ts";
import type { Situation } from "./moves.ts";

/** MOCK_FLAGS_ACCESS_SYZ: the address is the number of a mapping, and an offset in it. */
const NTH_MAPPING = 1 << 16;
/** MOCK_ACCESS_RW_SLOW_PATH */
const SLOW_PATH = 4;
/** The smallest page of a mock: half a page of the CPU's. */
const IO_PAGE = PAGE / 2;

/** Fields of an op's struct that the state of the model suggests; undefined where there is nothing to suggest. */
export function mockFields({ handles, dice, machine }: Situation, name: string, file: File | null): Fields | undefined {
  if (!(file instanceof IommufdFile)) return undefined;
  const { context } = file;
  switch (name) {
    case "IOMMU_TEST_OP_MD_CHECK_MAP": {
      const hwpt = handles.id(dice, ["hwpt"], context);
      if (hwpt === undefined) return undefined;
      const object = context.get(Number(machine.resolve(hwpt)));
      const area = object?.kind === "hwpt" ? pickArea(dice, object.ioas.pagetable.areas) : undefined;
      return area ? { id: hwpt, ...part(dice, area) } : undefined;
    }
    case "IOMMU_TEST_OP_MD_CHECK_REFS": {
      const uptr = (somewhere(dice, context) ?? MEMORY.user) & ~BigInt(PAGE - 1);
      return { uptr, length: PAGE, refs: oneIn(dice, 6) ? dice.roll(4) : machine.k.mm.pinsOf(uptr) };
    }
    case "IOMMU_TEST_OP_ACCESS_PAGES":
    case "IOMMU_TEST_OP_ACCESS_RW": {
      const entry = pickAccess(dice, handles, name === "IOMMU_TEST_OP_ACCESS_PAGES" && !oneIn(dice, 6));
      const areas = entry?.file.access.ioas?.pagetable.areas ?? [];
      const area = pickArea(dice, areas);
      if (!entry || !area) return undefined;
      if (oneIn(dice, 8)) {
        const offset = dice.roll(4) * PAGE;
        return { id: entry.handle, flags: NTH_MAPPING, iova: BigInt(areas.indexOf(area)) | (BigInt(offset) << 32n) };
      }
      return { id: entry.handle, ...(name === "IOMMU_TEST_OP_ACCESS_RW" ? moved(dice, area) : pinned(dice, area)) };
    }
    case "IOMMU_TEST_OP_DESTROY_ACCESS_PAGES": {
      const entry = pickAccess(dice, handles);
      const item = entry?.file.items[0];
      const pin =
        item && handles.named.find(({ kind, handle }) => kind === "pin" && machine.resolve(handle) === item.id);
      return pin ? { id: entry.handle, access_pages_id: pin.handle } : undefined;
    }
    default:
      return undefined;
  }
}

/** An access that is open, and pins pages where that is asked for. */
function pickAccess(dice: Dice, handles: Handles, pins = false): { handle: string; file: AccessFile } | undefined {
  const open = handles.files.flatMap(({ handle, file }) =>
    file instanceof AccessFile && (file.pins || !pins) ? [{ handle, file }] : [],
  );
  return open.length > 0 ? pick(dice, open) : undefined;
}

/** Pages of a mapping to be pinned, sometimes more than it has, and the memory that they are. */
function pinned(dice: Dice, area: Area): Fields {
  const pages = Math.min(Math.ceil(Number(area.length) / PAGE), 16);
  // Now and then from the middle of a page on, where nothing can be pinned.
  const from = dice.roll(pages) * PAGE + (oneIn(dice, 16) ? IO_PAGE : 0);
  const length = oneIn(dice, 4) ? pick(dice, [1, IO_PAGE, 2 * PAGE, 5 * PAGE]) : (1 + dice.roll(pages)) * PAGE;
  const shift = oneIn(dice, 8) ? PAGE : 0;
  const uptr = oneIn(dice, 3) ? 0 : area.address + BigInt(from + shift);
  return { iova: area.start + BigInt(from), length, uptr };
}

/** Bytes of a mapping to be read or written, sometimes over its end; many of them come from the program's memory, or go there. */
function moved(dice: Dice, area: Area): Fields {
  const from = pick(dice, [0, 0, 0, 8, 1, PAGE - 4, Math.max(Number(area.length) - 16, 0)]);
  const iova = area.start + BigInt(from);
  const flags = dice.roll(2) | (oneIn(dice, 4) ? SLOW_PATH : 0);
  if (!oneIn(dice, 4)) {
    return { iova, flags, length: oneIn(dice, 6) ? 8 * dice.roll(8) : Math.min(DATA_SIZE, Number(area.length)) };
  }
  return {
    iova,
    flags,
    length: pick(dice, [PAGE, 100, 2 * PAGE, 3 * PAGE + 1]),
    uptr: MEMORY.user + BigInt(dice.roll(64) * PAGE),
  };
}

const pickArea = (dice: Dice, areas: readonly Area[]): Area | undefined =>
  areas.length === 0 ? undefined : pick(dice, areas);

/** A part of a mapping, or all of it, and the memory behind it; now and then not quite that memory. */
function part(dice: Dice, area: Area): Fields {
  const pages = Math.min(Number(area.length) / IO_PAGE, 64);
  const from = oneIn(dice, 2) ? 0 : dice.roll(pages) * IO_PAGE;
  const length = Math.min(Number(area.length) - from, (1 + dice.roll(pages)) * IO_PAGE);
  const shift = oneIn(dice, 8) ? pick(dice, [IO_PAGE, PAGE]) : 0;
  return { iova: area.start + BigInt(from), length, uptr: area.address + BigInt(from + shift) };
}

/** Some memory of the program that is mapped. */
function somewhere(dice: Dice, context: IommufdContext): bigint | undefined {
  const areas: Area[] = [];
  for (const object of context.objects.values()) if (object.kind === "ioas") areas.push(...object.pagetable.areas);
  const area = pickArea(dice, areas);
  return area && area.address + BigInt(dice.roll(Math.min(area.pages.count, 16)) * PAGE);
}
