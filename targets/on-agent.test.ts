/** A target survives the loss of its system: what took it down is named, everything else is run. */
import { expect, test } from "vitest";
import { PROFILES } from "../model/profile.ts";
import type { Program } from "../model/program.ts";
import { REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import { TargetLost } from "./agent/connection.ts";
import type { AgentRequest, AgentResult } from "./agent/wire.ts";
import { type Agent, AgentTarget } from "./on-agent.ts";
import { TargetError } from "./target.ts";

const profile = PROFILES["7.2"];
if (!profile) throw new Error("there is no profile 7.2");

/** A program that can be told from others by its one call. */
const program = (count: number): Program => ({ machine: "reference", calls: [{ op: "read", fd: -1, count }] });
const countOf = ({ calls }: Program): number => (calls[0]?.op === "read" ? calls[0].count : -1);

const result = (id: number, log = ""): AgentResult => ({
  id,
  status: { kind: "done" },
  output: new Uint8Array(),
  cleanupStatus: { kind: "done" },
  cleanupOutput: new Uint8Array(),
  log,
});

/** An agent that answers in bundles of four, so that a loss takes good answers with it. */
class FakeAgent implements Agent {
  readonly #behave: (request: AgentRequest) => AgentResult | "dies";

  constructor(behave: (request: AgentRequest) => AgentResult | "dies") {
    this.#behave = behave;
  }

  async *run(requests: Iterable<AgentRequest>): AsyncGenerator<AgentResult, void, undefined> {
    let bundle: AgentResult[] = [];
    const sent: AgentRequest[] = [];
    for (const request of requests) {
      sent.push(request);
      const answer = this.#behave(request);
      if (answer === "dies") throw new TargetLost("The guest's kernel panicked.", sent);
      bundle.push(answer);
      if (bundle.length < 4) continue;
      yield* bundle;
      sent.length = 0;
      bundle = [];
    }
    yield* bundle;
  }

  async runOne(request: AgentRequest): Promise<AgentResult> {
    const answer = this.#behave(request);
    if (answer === "dies") throw new TargetLost("The guest's kernel panicked.", [request]);
    return answer;
  }
}

/** The bytecode of read(-1, buffer, count) has the count in it: that is how the fake tells programs. */
const reads = ({ code }: AgentRequest, count: number): boolean => code.includes(count);

async function started(behave: (request: AgentRequest, boots: number) => AgentResult | "dies") {
  let boots = 0;
  const target = await AgentTarget.start({
    about: { kind: "qemu", name: "a fake", version: "7.2", kconfig: [], notes: [] },
    profile: profile ?? { version: "7.2", kconfig: new Set() },
    timeoutMs: 1000,
    async start() {
      boots++;
      const now = boots;
      return {
        agent: new FakeAgent((request) => behave(request, now)),
        topology: REFERENCE_TOPOLOGY,
        console: "the last words",
        async [Symbol.asyncDispose]() {},
      };
    },
  });
  return { target, boots: () => boots };
}

const PROGRAMS = Array.from({ length: 20 }, (_, at) => program(200 + at));

async function runAll(target: AgentTarget) {
  const runs = [];
  for await (const run of target.run(PROGRAMS)) runs.push(run);
  return runs;
}

test("every program comes back once, in order", async () => {
  const { target, boots } = await started(({ id }) => result(id));
  expect((await runAll(target)).map((run) => countOf(run.program))).toEqual(PROGRAMS.map(countOf));
  expect(boots()).toBe(1);
});

test("the program that takes the system down is named, and the others are run", async () => {
  const { target } = await started((request) => (reads(request, 210) ? "dies" : result(request.id)));
  const runs = await runAll(target);
  expect(runs.map((run) => countOf(run.program)).sort()).toEqual(PROGRAMS.map(countOf));
  const dead = runs.filter(({ end }) => end.kind === "died");
  expect(dead.map((run) => countOf(run.program))).toEqual([210]);
  expect(dead[0]?.end).toEqual({ kind: "died", why: "The guest's kernel panicked.", console: "the last words" });
});

test("a system whose kernel reported a bug is booted anew before the next program", async () => {
  const { target, boots } = await started((request, boot) =>
    result(request.id, reads(request, 205) && boot === 1 ? "<4>WARNING: at something" : ""),
  );
  const runs = await runAll(target);
  expect(runs.map((run) => countOf(run.program))).toEqual(PROGRAMS.map(countOf));
  expect(boots()).toBe(2);
});

test("a system that every program takes down is given up, in one sentence", async () => {
  const { target } = await started(() => "dies");
  await expect(runAll(target)).rejects.toThrow(TargetError);
});
