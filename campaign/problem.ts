/** What is wrong with one run of a program, if anything: the judge, the log, the leaks and the history together. */

import { createHash } from "node:crypto";
import type { Call } from "../model/program.ts";
import type { Topology } from "../model/topology.ts";
import { errnoName } from "../model/uapi/errno.ts";
import { History } from "../properties/invariants/history.ts";
import type { HistoryInvariant, Violation } from "../properties/invariants/invariant.ts";
import { splats } from "../targets/kernel-log.ts";
import type { ProgramRun } from "../targets/target.ts";
import { onRecord } from "./deviation-file.ts";
import type { Deviation } from "./deviations/deviation.ts";
import { type JudgeOptions, judge, type Verdict } from "./judge.ts";
import type { FindingKind } from "./results.ts";

/** Something wrong with a run. */
export interface Problem {
  readonly kind: FindingKind;
  readonly what: string;
  readonly rule: string | null;
  /** Index of the call that shows it. */
  readonly at: number;
  /** Equal for problems that are the same, whatever program shows them. */
  readonly signature: string;
}

export interface Examined {
  readonly problem: Problem | null;
  readonly verdict: Verdict;
  readonly known: readonly string[];
}

/**
 * Looks at a run from every side. The first of these counts: lost, hung, differs, log, invariant, leak. What a kernel does
 * after a known deviation has ruined it says nothing, and a call that has to wait is no hang.
 */
export function examine(run: ProgramRun, options: JudgeOptions, history: readonly HistoryInvariant[]): Examined {
  const verdict = ruinedUnseen(run, options) ?? judge(run.program, run.outcomes, options);
  const { profile, recorded = [] } = options;
  if (verdict.kind === "not-comparable" && verdict.ruined) {
    const before = { ...run, outcomes: run.outcomes.slice(0, verdict.at) };
    return { problem: broken(before, history, options.topology), verdict, known: verdict.known };
  }
  const at = verdict.kind === "differs" ? verdict.at : 0;
  const record = onRecord(recorded, verdict, run.program.calls[at], callName, profile.version);
  const known = [...verdict.known, ...(record ? [record.id] : []), ...onlyLogged(run, options)];
  const waits = verdict.kind === "not-comparable" && verdict.waits && run.end.kind === "hung";
  const problem =
    (waits ? null : lost(run)) ??
    (record ? null : differs(run, verdict)) ??
    logged(run, options, known) ??
    broken(run, history, options.topology) ??
    leaked(run);
  return { problem, verdict, known };
}

/**
 * The verdict on a run that the kernel did not survive, or a call did not come back from, where a deviation of which calls do not tell has ruined it: what the kernel
 * reported must be what the deviation brings about. Null where none has.
 */
function ruinedUnseen({ program, outcomes, end, log }: ProgramRun, options: JudgeOptions): Verdict | null {
  if (end.kind === "done" || end.kind === "not-run") return null;
  const reports = splats(log);
  const deviations: Deviation[] = [];
  let suspects = 0;
  for (const deviation of options.deviations) {
    const { perhaps, ...taken } = deviation;
    if (!perhaps) deviations.push(deviation);
    else if (reports.some(({ title }) => deviation.log?.test(title))) {
      deviations.push(taken);
      suspects++;
    }
  }
  if (suspects === 0) return null;
  const verdict = judge(program, outcomes, { ...options, deviations });
  return verdict.kind === "not-comparable" && verdict.ruined ? verdict : null;
}

function lost({ end, program, log }: ProgramRun): Problem | null {
  switch (end.kind) {
    case "done":
    case "not-run":
      return null;
    case "hung": {
      const name = callName(program.calls[end.call]);
      return {
        kind: "hang",
        what: `${name} did not come back. ${end.stack}`.trim(),
        rule: null,
        at: end.call,
        signature: `hang ${name}`,
      };
    }
    case "signal": {
      const name = callName(program.calls[end.call]);
      const what = `${name} ended in signal ${end.signal}.`;
      return { kind: "died", what, rule: null, at: end.call, signature: `signal ${end.signal} ${name}` };
    }
    case "died": {
      const [splat] = splats(log);
      const what = splat ? `${end.why} ${splat.title}` : end.why;
      return { kind: "died", what, rule: null, at: program.calls.length - 1, signature: `died ${splat?.title ?? ""}` };
    }
  }
}

function differs({ program }: ProgramRun, verdict: Verdict): Problem | null {
  if (verdict.kind !== "differs") return null;
  const { at, expected, observed, part } = verdict;
  const name = callName(program.calls[at]);
  const detail =
    part === "result"
      ? `answered ${result(observed.ret)} where ${result(expected.ret)} is right`
      : part === "bytes"
        ? `wrote other bytes to its struct than it should, from offset ${verdict.offset} on`
        : part === "pointed"
          ? `wrote other bytes than it should to what its struct points to, from offset ${verdict.offset} on`
          : `showed "${observed.text}" where "${expected.text}" is right`;
  const signature = `${name} ${part} ${part === "result" ? `${sign(expected.ret)} ${sign(observed.ret)}` : ""} ${expected.clause}`;
  return { kind: "difference", what: `${name} ${detail}.`, rule: expected.clause, at, signature };
}

/** The deviations of which only the log tells, and has. */
function onlyLogged({ log }: ProgramRun, { deviations }: JudgeOptions): string[] {
  const found = splats(log);
  if (found.length === 0) return [];
  return deviations
    .filter((deviation) => deviation.onlyLogged && found.some(({ title }) => deviation.log?.test(title)))
    .map(({ id }) => id);
}

function logged({ log, program }: ProgramRun, { deviations }: JudgeOptions, known: readonly string[]): Problem | null {
  for (const splat of splats(log)) {
    const explained = deviations.some((deviation) => known.includes(deviation.id) && deviation.log?.test(splat.title));
    if (explained) continue;
    return {
      kind: "log",
      what: `The kernel reported: ${splat.title}`,
      rule: null,
      at: program.calls.length - 1,
      signature: `log ${splat.kind} ${splat.title}`,
    };
  }
  return null;
}

function broken(
  { program, outcomes }: ProgramRun,
  invariants: readonly HistoryInvariant[],
  topology: Topology,
): Problem | null {
  const history = new History(invariants, topology);
  for (const [at, outcome] of outcomes.entries()) {
    const call = program.calls[at];
    const violation = call && history.after(call, outcome, at);
    if (violation) return brokenInvariant(violation);
  }
  return null;
}

function leaked({ leaks, program }: ProgramRun): Problem | null {
  const [what] = leaks;
  if (what === undefined) return null;
  const signature = `leak ${what.replace(/[0-9a-f-]{36}|\d+/g, "N")}`;
  return { kind: "leak", what, rule: "references-balance", at: program.calls.length - 1, signature };
}

/** An invariant that did not hold, as a problem. */
export function brokenInvariant({ invariant, what, at }: Violation): Problem {
  return { kind: "invariant", what: `${what}.`, rule: invariant, at, signature: `invariant ${invariant}` };
}

/** The id of a finding: the same over runs that find the same. */
export function findingId(by: string, { signature }: Problem): string {
  return `${by}-${createHash("sha256").update(`${by} ${signature}`).digest("hex").slice(0, 8)}`;
}

/** What a call is called in sentences. */
export function callName(call: Call | undefined): string {
  if (!call) return "the end of the process";
  switch (call.op) {
    case "ioctl":
      return call.request;
    case "open":
      return `open of the ${call.node.kind} node`;
    case "sysfs-write":
    case "sysfs-read":
      return `${call.op === "sysfs-write" ? "write to" : "read of"} ${call.attribute.kind}`;
    case "start":
      return `write of another task to ${call.attribute.kind}`;
    case "probe":
      return `probe ${call.probe.kind}`;
    default:
      return call.op;
  }
}

function result(ret: number): string {
  return ret < 0 ? errnoName(-ret) : `${ret}`;
}

/** Numbers that are no errors differ freely. */
function sign(ret: number): string {
  return ret < 0 ? errnoName(-ret) : "ok";
}
