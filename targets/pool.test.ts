/** Several targets at once give what one would, in the same order. */
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { PROFILES } from "../model/profile.ts";
import type { Program } from "../model/program.ts";
import { REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import { Pool } from "./pool.ts";
import { type ProgramRun, type Target, TargetError } from "./target.ts";

const profile = PROFILES["7.2"] ?? { version: "7.2", kconfig: new Set<string>() };
const program = (count: number): Program => ({ machine: "reference", calls: [{ op: "read", fd: -1, count }] });
const countOf = ({ calls }: Program): number => (calls[0]?.op === "read" ? calls[0].count : -1);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** A target that takes so many milliseconds for a program, and breaks at the program of that number. */
class Fake implements Target {
  readonly about = { kind: "qemu", name: "a fake", version: "7.2", kconfig: [], notes: [] } as const;
  readonly topology;
  readonly profile = profile;
  ended = false;
  ran = 0;
  readonly #each: number;
  readonly #breaksAt: number;

  constructor(each: number, { breaksAt = -1, topology = REFERENCE_TOPOLOGY } = {}) {
    this.#each = each;
    this.#breaksAt = breaksAt;
    this.topology = topology;
  }

  async *run(programs: Iterable<Program>): AsyncGenerator<ProgramRun, void, undefined> {
    for (const each of programs) {
      await setTimeout(this.#each);
      if (countOf(each) === this.#breaksAt) throw new TargetError("The guest is gone.");
      this.ran++;
      yield { program: each, outcomes: [], end: { kind: "done" }, log: "", leaks: [] };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ended = true;
  }
}

async function run(target: Target, counts: readonly number[]): Promise<number[]> {
  const seen: number[] = [];
  for await (const { program: each } of target.run(counts.map(program))) seen.push(countOf(each));
  return seen;
}

test("runs come back in the order of the programs, though one target is slower", async () => {
  const [slow, fast] = [new Fake(5), new Fake(1)];
  expect(await run(await Pool.of([slow, fast]), upTo(60))).toEqual(upTo(60));
  expect(slow.ran).toBeGreaterThan(0);
  expect(fast.ran).toBeGreaterThan(slow.ran);
});

test("one target needs no pool", async () => {
  const only = new Fake(0);
  expect(await Pool.of([only])).toBe(only);
});

test("what ran before a target was lost for good is kept", async () => {
  const pool = await Pool.of([new Fake(1, { breaksAt: 10 }), new Fake(1, { breaksAt: 10 })]);
  const seen: number[] = [];
  const running = (async () => {
    for await (const { program: each } of pool.run(upTo(60).map(program))) seen.push(countOf(each));
  })();
  await expect(running).rejects.toThrow("The guest is gone.");
  expect(seen.slice(0, 10)).toEqual(upTo(10));
});

test("what targets find out late comes out of the pool", async () => {
  const late: ProgramRun = { program: program(7), outcomes: [], end: { kind: "done" }, log: "", leaks: ["lost"] };
  class Late extends Fake {
    async *settle(): AsyncGenerator<ProgramRun, void, undefined> {
      yield late;
    }
  }
  const pool = await Pool.of([new Late(0), new Fake(0)]);
  const found: ProgramRun[] = [];
  for await (const each of pool.settle?.() ?? []) found.push(each);
  expect(found).toEqual([late]);
});

test("who stops asking leaves no target at work", async () => {
  const [one, other] = [new Fake(1), new Fake(1)];
  const pool = await Pool.of([one, other]);
  for await (const { program: each } of pool.run(upTo(1000).map(program))) if (countOf(each) === 5) break;
  const ran = one.ran + other.ran;
  await setTimeout(20);
  expect(one.ran + other.ran).toBe(ran);
});

test("guests that are not alike are not mixed", async () => {
  const targets = [new Fake(0), new Fake(0, { topology: { ...REFERENCE_TOPOLOGY, kvm: false } })];
  await expect(Pool.of(targets)).rejects.toThrow("different devices");
  expect(targets.map(({ ended }) => ended)).toEqual([true, true]);
});
