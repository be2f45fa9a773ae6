/** One program on a target: its run, and on the model what its state shows. */
import { LockOrder } from "../model/kernel/lock.ts";
import type { Program } from "../model/program.ts";
import { rerun } from "../properties/generate/walk.ts";
import { HISTORY_INVARIANTS, STATE_INVARIANTS } from "../properties/invariants/all.ts";
import { Watch } from "../properties/watch.ts";
import { ModelTarget } from "../targets/model.ts";
import { type ProgramRun, type Target, TargetError } from "../targets/target.ts";
import { brokenInvariant, type Problem } from "./problem.ts";

/** Runs one program. TargetError where the target gives nothing back. */
export async function runOne(target: Target, program: Program): Promise<ProgramRun> {
  let first: ProgramRun | undefined;
  for await (const run of target.run([program])) first ??= run;
  if (!first) throw new TargetError("The target gave no run of the program.");
  return first;
}

/** The invariant that the model's own state breaks while it runs the program; null for other targets. */
export function violationOn(target: Target, program: Program): Problem | null {
  if (!(target instanceof ModelTarget)) return null;
  const { topology, profile, overrides } = target;
  const watch = new Watch(STATE_INVARIANTS, HISTORY_INVARIANTS);
  rerun(program.calls, { topology, profile, overrides, order: new LockOrder() }, watch);
  return watch.violation && brokenInvariant(watch.violation);
}
