/** Shrinks a program on the target that showed a problem, until no call can be removed and it still shows the same. */
import type { Program } from "../model/program.ts";
import { shrinkProgram } from "../properties/shrink.ts";
import { leavesTraces, type ProgramRun, type Target } from "../targets/target.ts";

/** What tells problems apart, for the one that a run shows; null when nothing is wrong. */
export type SignatureOf = (run: ProgramRun) => string | null;

/** Candidates that are tried at once: enough to keep the target busy, few enough not to waste it. */
const AT_ONCE = 16;

/** Whether the target boots anew after such a run, so that one more of its kind costs far more than trying it alone. */
const costsBoot = (run: ProgramRun): boolean => run.end.kind === "died" || run.end.kind === "hung" || leavesTraces(run);

/** As much of a candidate as the target may be given: nobody knows what it would make of the rest, and of programs behind. */
export type Playable = (candidate: Program) => Program;

/** How much may be spent on a program, and on what. */
export interface Effort {
  readonly playable: Playable;
  /** Runs. */
  readonly tries: number;
  /** A problem that takes the system down costs a boot for every try that shows it. */
  readonly seconds: number;
  /** Ends it early. */
  readonly signal?: AbortSignal | undefined;
}

export interface Minimised {
  readonly run: ProgramRun;
  /** Whether it showed at all when run alone. */
  readonly reproduced: boolean;
}

/** Gives the smallest program found within the effort that shows the problem `signature`, and its run. */
export async function minimise(
  target: Target,
  first: ProgramRun,
  signature: string,
  show: SignatureOf,
  { playable, tries, seconds, signal }: Effort,
): Promise<Minimised> {
  const again = await firstShowing(target, [first.program], signature, show);
  if (!again) return { run: first, reproduced: false };
  let smallest = again;
  const atOnce = costsBoot(again) ? 1 : AT_ONCE;
  let left = tries;
  const until = performance.now() + 1000 * seconds;
  const spent = (): boolean => left <= 0 || performance.now() >= until || (signal?.aborted ?? false);
  while (!spent()) {
    let found: ProgramRun | undefined;
    let batch: Program[] = [];
    for (const smaller of shrinkProgram(smallest.program)) {
      const candidate = playable(smaller);
      if (candidate.calls.length === 0) continue;
      batch.push(candidate);
      if (batch.length < atOnce) continue;
      left -= batch.length;
      found = await firstShowing(target, batch, signature, show);
      if (found || spent()) break;
      batch = [];
    }
    if (!found && !spent() && batch.length > 0) {
      left -= batch.length;
      found = await firstShowing(target, batch, signature, show);
    }
    if (!found) break;
    smallest = found;
  }
  return { run: smallest, reproduced: true };
}

async function firstShowing(
  target: Target,
  programs: readonly Program[],
  signature: string,
  show: SignatureOf,
): Promise<ProgramRun | undefined> {
  let found: ProgramRun | undefined;
  // The whole batch is run, so that the target is idle when the next begins.
  for await (const run of target.run(programs)) {
    if (!found && show(run) === signature) found = run;
  }
  return found;
}
