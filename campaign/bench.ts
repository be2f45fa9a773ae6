/**
 * Benchmarks: what a call costs, always beside something to compare it with in the same run, because machines differ and
 * change.
 */
import * as fc from "fast-check";
import { LockOrder } from "../model/kernel/lock.ts";
import { PROFILES } from "../model/profile.ts";
import { findProperty, PROPERTIES } from "../properties/all.ts";
import { Coverage } from "../properties/coverage.ts";
import { type Property, topologyFor, watchFor } from "../properties/property.ts";
import { chunkSeed, sampleChunk } from "../properties/sample.ts";
import { ensureKernel } from "../targets/kernel/build.ts";
import type { AgentTarget } from "../targets/on-agent.ts";
import { IOMMU_MACHINE } from "../targets/qemu/machines.ts";
import { startQemu } from "../targets/qemu/target.ts";
import { rawCallsPerSecond } from "../targets/raw-loop.ts";
import { runCampaign } from "./campaign.ts";

export interface BenchOptions {
  /** How long each figure is measured; 4 unless given. */
  readonly seconds?: number;
  /** A kernel to measure in QEMU as well: `7.2`. */
  readonly kernel?: string;
  readonly signal?: AbortSignal;
}

/** Measures, a line per figure. */
export async function* runBench({ seconds = 4, kernel, signal }: BenchOptions): AsyncGenerator<string> {
  yield* benchModel(seconds);
  if (kernel === undefined) return;
  const never = signal ?? new AbortController().signal;
  const built = await ensureKernel({ kind: "release", version: kernel, flavour: "plain" }, () => {}, never);
  await using target = await startQemu({ kernel: built, machine: IOMMU_MACHINE, signal: never });
  yield* benchTarget(target, seconds);
}

/** Calls generated and checked with all invariants, against fast-check's own commands on a model of one number. */
function* benchModel(seconds: number): Generator<string> {
  const trivial = rate(seconds, () => trivialCommands(64));
  yield `fast-check's fc.commands on a trivial model: ${perSecond(trivial)} commands/s`;
  for (const property of PROPERTIES) {
    const own = rate(seconds, (round) => modelChunk(property, round));
    yield `${property.id}, generated and checked on the model: ${perSecond(own)} calls/s, 1 / ${ratio(trivial, own)} of that`;
  }
  yield* benchLength(seconds);
}

/** What a call costs in long programs with many mappings, against short ones. */
function* benchLength(seconds: number): Generator<string> {
  const property = findProperty(LONG.id);
  if (!property) return;
  const short = new Cost();
  const long = new Cost();
  const began = performance.now();
  // In turns, so that what else the machine does falls on both. The first round warms the compiler up.
  for (let round = 0; round < 2 || performance.now() - began < 2000 * seconds; round++) {
    for (const [cost, length] of [
      [short, LONG.short],
      [long, LONG.long],
    ] as const) {
      const programs = Math.ceil(LONG.calls / length);
      cost.of(round > 0, () => modelChunk({ ...property, shortest: null, length }, round, programs));
    }
  }
  const times = (long.perCall / short.perCall).toFixed(2);
  yield `${LONG.id}, programs of ${LONG.long} calls: ${long.perCall.toFixed(1)} us a call, ${times} times as much as in programs of ${LONG.short}`;
}

/** What calls took together. */
class Cost {
  #calls = 0;
  #milliseconds = 0;

  /** Makes calls, and counts them and their time if told to. */
  of(counts: boolean, make: () => number): void {
    const began = performance.now();
    const calls = make();
    if (!counts) return;
    this.#calls += calls;
    this.#milliseconds += performance.now() - began;
  }

  /** Microseconds. */
  get perCall(): number {
    return (1000 * this.#milliseconds) / this.#calls;
  }
}

/** Programs that are compared: as many of each length as have so many calls together. */
const LONG = { id: "iommufd-areas", short: 100, long: 1000, calls: 8000 } as const;

/** Calls end to end on a target, against a raw loop of system calls by the agent in the same guest. */
async function* benchTarget(target: AgentTarget, each: number): AsyncGenerator<string> {
  const raw = await rawCallsPerSecond(target);
  yield `the agent alone, opening and closing a container: ${perSecond(raw)} calls/s`;
  for (const id of ["iommufd-objects", "iommufd-areas", "emulated-devices", "kvm-vfio", "pci-functions"]) {
    const property = findProperty(id);
    if (!property) continue;
    const { properties } = await runCampaign({
      target,
      properties: [property],
      seed: 1,
      budget: { seconds: 2.5 * each },
    });
    const [{ calls, seconds } = { calls: 0, seconds: 1 }] = properties;
    yield `${id}, end to end: ${perSecond(calls / seconds)} calls/s, 1 / ${ratio(raw, calls / seconds)} of that`;
  }
}

/** Runs rounds until long enough; gives what they made per second. */
function rate(seconds: number, round: (number: number) => number): number {
  // The first rounds warm the compiler up.
  for (let i = 0; i < 5; i++) round(i);
  const began = performance.now();
  let made = 0;
  let number = 5;
  while (performance.now() - began < 1000 * seconds) made += round(number++);
  return (1000 * made) / (performance.now() - began);
}

function modelChunk(property: Property, round: number, programs?: number): number {
  const profile = PROFILES["7.2"];
  if (!profile) return 0;
  const coverage = new Coverage();
  const machine = { topology: topologyFor(property, profile), profile, order: new LockOrder() };
  sampleChunk(property, machine, chunkSeed(round, property.id, 0), () => watchFor(property, coverage), programs);
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
