/** What destructive deviations by calls that run out of memory have in common: the way parts where one does. */
import type { Strike } from "../../model/kernel/alloc.ts";
import type { Kernel } from "../../model/kernel/kernel.ts";
import { Ruined } from "./deviation.ts";

/** Has the kernel ruined, in the words `what`, where an allocation fails of a call for which `where` holds. */
export function ruinedWhere(
  k: Kernel,
  by: string,
  what: string,
  where: (kernel: Kernel, strike: Strike) => boolean,
): void {
  const right = k.shortage.strikes;
  k.shortage = {
    ...k.shortage,
    strikes(kernel, strike) {
      if (where(kernel, strike)) throw new Ruined(what, by);
      right(kernel, strike);
    },
  };
}
