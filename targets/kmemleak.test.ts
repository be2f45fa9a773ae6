/** Lost memory is found in a window of programs, and put down to the one that loses it. */
import { expect, test } from "vitest";
import { PROFILES } from "../model/profile.ts";
import type { Program } from "../model/program.ts";
import { REFERENCE_TOPOLOGY } from "../model/reference-topology.ts";
import type { AgentRequest, AgentResult } from "./agent/wire.ts";
import { firstLost, LeakWatched, type Watched } from "./kmemleak.ts";
import type { ProgramRun } from "./target.ts";

const REPORT = `unreferenced object 0xffff8880041c7a00 (size 96):
  comm "init", pid 214, jiffies 4294895040
  hex dump (first 32 bytes):
    00 00 00 00 ad 4e ad de ff ff ff ff 00 00 00 00  .....N..........
  backtrace (crc 5a5b5c5d):
    __kmalloc_cache_noprof+0x1a4/0x3d0
    vfio_df_ioctl_attach_pt+0x5e/0x1f0
    vfio_device_fops_unl_ioctl+0x8c/0x9d0
    __x64_sys_ioctl+0xb4/0x110
unreferenced object 0xffff8880041c7b00 (size 32):
`;

const profile = PROFILES["7.2"] ?? { version: "7.2", kconfig: new Set<string>() };
const program = (count: number): Program => ({ machine: "reference", calls: [{ op: "read", fd: -1, count }] });
const countOf = ({ calls }: Program): number => (calls[0]?.op === "read" ? calls[0].count : -1);

/** A kernel that loses memory in the program of that number, until it is booted anew. */
class Leaking implements Watched {
  readonly about = { kind: "qemu", name: "a fake", version: "7.2", kconfig: [], notes: [] } as const;
  readonly topology = REFERENCE_TOPOLOGY;
  readonly profile = profile;
  scans = 0;
  #lost = false;
  readonly #culprit: number;

  constructor(culprit: number) {
    this.#culprit = culprit;
  }

  async *run(programs: Iterable<Program>): AsyncGenerator<ProgramRun, void, undefined> {
    for (const each of programs) {
      if (countOf(each) === this.#culprit) this.#lost = true;
      yield { program: each, outcomes: [], end: { kind: "done" }, log: "", leaks: [] };
    }
  }

  readonly agent = {
    run: async function* () {},
    runOne: async ({ id }: AgentRequest): Promise<AgentResult> => {
      this.scans++;
      // The result of each call before the reads is in the output, then what was read.
      const output = new Uint8Array(21 * 8 + 64 * 1024);
      if (this.#lost) output.set(new TextEncoder().encode(REPORT), output.length - 64 * 1024);
      return { id, status: { kind: "done" }, output, cleanupStatus: { kind: "done" }, cleanupOutput: output, log: "" };
    },
  };

  async restart(): Promise<void> {
    this.#lost = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

async function leaksOf(target: LeakWatched, counts: readonly number[]): Promise<[number, string][]> {
  const found: [number, string][] = [];
  for (const runs of [target.run(counts.map(program)), target.settle()]) {
    for await (const run of runs) for (const leak of run.leaks) found.push([countOf(run.program), leak]);
  }
  return found;
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

test("the report's first object is told by its size and by who allocated it", () => {
  expect(firstLost(REPORT)).toBe(
    "96 bytes allocated by vfio_df_ioctl_attach_pt < vfio_device_fops_unl_ioctl < __x64_sys_ioctl",
  );
  expect(firstLost("")).toBeNull();
});

test("the program that loses memory is found among many", async () => {
  const found = await leaksOf(new LeakWatched(new Leaking(517)), upTo(1000));
  expect(found.map(([count]) => count)).toEqual([517]);
  expect(found[0]?.[1]).toMatch(/^The kernel has lost memory: 96 bytes allocated by vfio_df_ioctl_attach_pt/);
});

test("programs that lose none are scanned after once a window", async () => {
  const kernel = new Leaking(-2);
  expect(await leaksOf(new LeakWatched(kernel), upTo(5000))).toEqual([]);
  expect(kernel.scans).toBe(3);
});

test("programs of several properties share a window, and the culprit may be of one that is over", async () => {
  const kernel = new Leaking(517);
  const target = new LeakWatched(kernel);
  for await (const run of target.run(upTo(1000).map(program))) expect(run.leaks).toEqual([]);
  expect(kernel.scans).toBe(0);
  const found = await leaksOf(
    target,
    upTo(1000).map((count) => count + 1000),
  );
  expect(found.map(([count]) => count)).toEqual([517]);
});

test("a try at a few programs is not scanned after", async () => {
  const kernel = new Leaking(3);
  expect(await leaksOf(new LeakWatched(kernel), upTo(5))).toEqual([]);
  expect(kernel.scans).toBe(0);
});
