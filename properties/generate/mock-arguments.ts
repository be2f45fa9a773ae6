/**
 * Arguments for the ops of the kernel's selftests that ask what is mapped and pinned: they only say something where they are
 * mostly about what is there.
 */
import type { Area } from "../../model/iommufd/area.ts";
import { IommufdFile } from "../../model/iommufd/main.ts";
import type { IommufdContext } from "../../model/iommufd/objects.ts";
import type { File } from "../../model/kernel/file.ts";
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import type { FieldValue } from "../../model/program.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import type { Situation } from "./moves.ts";

type Fields = Readonly<Record<string, FieldValue>>;

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
    default:
      return undefined;
  }
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
