/** Arguments about memory in files: what is mapped of one is mostly there, for what is not is refused, now or later. */
import { DmaBufFile } from "../../model/dma-buf.ts";
import { PAGE } from "../../model/kernel/memory-map.ts";
import { MemfdFile } from "../../model/memfd.ts";
import type { Fields } from "../../model/program.ts";
import { oneIn } from "./dice.ts";
import { kindBits } from "./handles.ts";
import type { Situation } from "./moves.ts";

const FILES = kindBits(["memfd", "dma-buf"]);

/** Fields of an ioctl's struct that the files suggest; undefined where there is nothing to suggest. */
export function fileFields({ handles, dice }: Situation, name: string): Fields | undefined {
  if (name !== "IOMMU_IOAS_MAP_FILE" || oneIn(dice, 3)) return undefined;
  const entry = handles.ofKind(dice, FILES);
  if (!(entry?.file instanceof MemfdFile || entry?.file instanceof DmaBufFile)) return undefined;
  const pages = Math.min(Math.floor(entry.file.size / PAGE), 16);
  if (pages === 0) return undefined;
  const first = oneIn(dice, 2) ? 0 : dice.roll(pages);
  return { fd: entry.handle, start: first * PAGE, length: (1 + dice.roll(pages - first)) * PAGE };
}
