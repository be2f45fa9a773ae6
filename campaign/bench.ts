/**
 * Benchmarks: what a call costs, always beside something to compare it with in the same run, because machines differ and
 * change.
 */
import * as fc from "fast-check";
import { LockOrder } from "../model/kernel/lock.ts";
import { PROFILES } from "../model/profile.ts";
import { REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import { findProperty, PROPERTIES } from "../properties/all.ts";
import { Coverage } from "../properties/coverage.ts";
import { type Property, watchFor } from "../properties/property.ts";
import { chunkSeed, sampleChunk } from "../properties/sample.ts";
import type { AgentTarget } from "../targets/on-agent.ts";
import { rawCallsPerSecond } from "../targets/raw-loop.ts";
import { runCampaign } from "./campaign.ts";

/** Milliseconds that one figure is measured for. */
const LONG_ENOUGH = 4000;

/** Calls generated and checked with all invariants, against fast-check's own commands on a model of one number. */
export function* benchModel(): Generator<string> {
  const trivial = rate(() => trivialCommands(64));
  yield `fast-check's fc.commands on a trivial model: ${perSecond(trivial)} commands/s`;
  for (const property of PROPERTIES) {
    const own = rate((round) => modelChunk(property, round));
    yield `${property.id}, generated and checked on the model: ${perSecond(own)} calls/s, ${ratio(own, trivial)} times that`;
  }
}

/** Calls end to end on a target, against a raw loop of system calls by the agent in the same guest. */
export async function* benchTarget(target: AgentTarget): AsyncGenerator<string> {
  const raw = await rawCallsPerSecond(target);
  yield `the agent alone, opening and closing a container: ${perSecond(raw)} calls/s`;
  for (const id of ["iommufd-objects", "emulated-devices", "kvm-vfio", "pci-functions"]) {
    const property = findProperty(id);
    if (!property) continue;
    const { properties } = await runCampaign({ target, properties: [property], seed: 1, budget: { seconds: 10 } });
    const [{ calls, seconds } = { calls: 0, seconds: 1 }] = properties;
    yield `${id}, end to end: ${perSecond(calls / seconds)} calls/s, 1 / ${ratio(raw, calls / seconds)} of that`;
  }
}

/** Runs rounds until long enough; gives what they made per second. */
function rate(round: (number: number) => number): number {
  // The first rounds warm the compiler up.
  for (let i = 0; i < 5; i++) round(i);
  const began = performance.now();
  let made = 0;
  let number = 5;
  while (performance.now() - began < LONG_ENOUGH) made += round(number++);
  return (1000 * made) / (performance.now() - began);
}

function modelChunk(property: Property, round: number): number {
  const profile = PROFILES["7.2"];
  if (!profile) return 0;
  const coverage = new Coverage();
  const machine = { topology: REFERENCE_TOPOLOGY, profile, order: new LockOrder() };
  sampleChunk(property, machine, chunkSeed(round, property.id, 0), () => watchFor(property, coverage));
  return coverage.calls;
}

/** A model of one number and a system that is the number too. */
class Increment implements fc.Command<{ value: number }, { value: number }> {
  check(): boolean {
    return true;
  }
  run(model: { value: number }, real: { value: number }): void {
    model.value++;
    real.value++;
    if (model.value !== real.value) throw new Error("the numbers parted");
  }
  toString(): string {
    return "increment";
  }
}

function trivialCommands(runs: number): number {
  let commands = 0;
  const arbitrary = fc.commands([fc.constant(new Increment()), fc.constant(new Increment())], {
    maxCommands: 80,
    size: "max",
  });
  fc.assert(
    fc.property(arbitrary, (each) => {
      const model = { value: 0 };
      fc.modelRun(() => ({ model, real: { value: 0 } }), each);
      commands += model.value;
    }),
    { numRuns: runs },
  );
  return commands;
}

const perSecond = (value: number): string => Math.round(value).toLocaleString("en");
const ratio = (a: number, b: number): string => (a / b).toFixed(1);
