/**
 * Whether pinned pages follow each other in memory, as hardware needs those of its queues. User space can't tell, but for this:
 * no page follows itself, and those that are seen to follow each other do so as long as they stay where they are. Otherwise
 * both answers are right. Beside drivers/iommu/iommufd/viommu.c.
 */
import { type Clause, must } from "../kernel/clause.ts";
import type { File } from "../kernel/file.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { type Mm, PAGE } from "../kernel/mm.ts";
import type { AccessPin, IommufdContext } from "./objects.ts";

/** A page of memory: of a process's, by its address, or of a file, by its offset. */
interface Frame {
  readonly of: File | Mm;
  readonly at: bigint;
}

const isSame = (a: Frame, b: Frame | undefined): boolean => a.of === b?.of && a.at === b.at;

export const steps = {
  /** The end of iommufd_hw_queue_alloc_phys: refuses pages that do not follow each other. */
  inOnePiece(k: Kernel, context: IommufdContext, pins: readonly AccessPin[], refusedBy: Clause): void {
    const frames = framesOf(pins);
    must(!isTwice(frames), refusedBy);
    for (const object of context.objects.values()) {
      if (object.kind === "hw-queue" && has(framesOf(object.pins), frames)) return;
    }
    if (frames.length > 1) k.mayRefuse(refusedBy);
  },
};

/** Whether a page is among them more than once. */
function isTwice(frames: readonly Frame[]): boolean {
  const seen = new Map<File | Mm, Set<bigint>>();
  return frames.some(({ of, at }) => {
    const pages = seen.get(of) ?? new Set();
    seen.set(of, pages);
    return pages.size === pages.add(at).size;
  });
}

/** The pages that are pinned, one after the other. */
function framesOf(pins: readonly AccessPin[]): Frame[] {
  return pins.flatMap(({ area: { pages }, user: { firstPage, lastPage } }) =>
    Array.from({ length: lastPage - firstPage + 1 }, (_, i): Frame => {
      const at = pages.address + BigInt(firstPage + i) * PAGE;
      const { mm } = pages.owner;
      return pages.file ? { of: pages.file, at } : { of: mm, at: mm.physical(at) };
    }),
  );
}

/** Whether pages are among others in the same order, one right after the other. */
function has(all: readonly Frame[], frames: readonly Frame[]): boolean {
  return all.some((_, from) => frames.every((frame, i) => isSame(frame, all[from + i])));
}
