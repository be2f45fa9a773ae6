/**
 * Other processes: now and then a call is made by one, with what its memory holds by then, and ends with it or goes on without it.
 * Processes share their descriptors, so that whatever the one has opened the others use.
 */
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import { type Call, MOST_PROCESSES, mayBeBy } from "../../model/program.ts";
import { oneIn, pick } from "./dice.ts";
import type { Make } from "./motif-calls.ts";
import type { Situation } from "./moves.ts";

/** Makes a call, one time in `byOneIn` by another process, which may have to be made first. */
export function makeElsewhere({ dice, handles }: Situation, byOneIn: number, call: Call, make: Make): boolean {
  if (!mayBeBy(call) || !oneIn(dice, byOneIn)) return make(call);
  const { processes } = handles;
  if (processes.length === 0 || (handles.forks < MOST_PROCESSES && oneIn(dice, 6))) {
    if (handles.forks >= MOST_PROCESSES || !make({ op: "fork", as: handles.fresh("process") })) return make(call);
    const by = processes[processes.length - 1];
    const own = {
      op: "store",
      at: MEMORY.user,
      offset: dice.roll(4) * PAGE,
      width: 8,
      value: 1 + dice.roll(99),
    } as const;
    if (by !== undefined && oneIn(dice, 2)) make({ ...own, by });
  }
  const by = pick(dice, processes);
  const isMade = make({ ...call, by });
  if (oneIn(dice, 6)) make({ op: "exit", process: by });
  return isMade;
}
