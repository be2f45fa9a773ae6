/**
 * Memory that the kernel has lost: its leak detector (Documentation/dev-tools/kmemleak.rst) as an oracle.
 *
 * A scan takes as long as some two hundred programs, so it is made once for many, whichever property they are of. Where it reports
 * something, those programs are run again, by halves, until one is left that leaks alone.
 */

import type { Profile } from "../model/profile.ts";
import type { Program } from "../model/program.ts";
import type { Topology } from "../model/topology.ts";
import { Assembler } from "./agent/assembler.ts";
import { SCRATCH } from "./agent/layout.ts";
import { AT_FDCWD, O_RDWR, SYS } from "./lower/syscalls.ts";
import type { Agent } from "./on-agent.ts";
import { type ProgramRun, type Target, type TargetAbout, TargetError } from "./target.ts";

/** Programs between two scans. */
const WINDOW = 2000;
/** Runs of fewer programs are tries at one that is known, and are not scanned after. */
const WORTH_A_SCAN = 20;

const FILE = "/sys/kernel/debug/kmemleak";
/** Objects younger than five seconds are not reported; the guest's clock jumps over the wait. */
const SETTLING_SECONDS = 6n;
const REPORT_SIZE = 64 * 1024;
const TIMEOUT_MS = 900_000;

/** A target on whose kernel the leak detector runs. */
export interface Watched extends Target {
  readonly agent: Agent;
  /** Brings the system up anew. */
  restart(): Promise<void>;
}

/** Wraps a target whose kernel has CONFIG_DEBUG_KMEMLEAK. */
export class LeakWatched implements Target {
  readonly #inner: Watched;
  /** Programs since the last scan. */
  readonly #window: ProgramRun[] = [];

  constructor(inner: Watched) {
    this.#inner = inner;
  }

  get about(): TargetAbout {
    return this.#inner.about;
  }

  get topology(): Topology {
    return this.#inner.topology;
  }

  get profile(): Profile {
    return this.#inner.profile;
  }

  async *run(programs: Iterable<Program>): AsyncGenerator<ProgramRun, void, undefined> {
    const source = programs[Symbol.iterator]();
    let exhausted = false;
    while (!exhausted) {
      const lately: ProgramRun[] = [];
      const room = WINDOW - this.#window.length;
      const supply = (function* () {
        for (let i = 0; i < room; i++) {
          const next = source.next();
          if (next.done) {
            exhausted = true;
            return;
          }
          yield next.value;
        }
      })();
      for await (const run of this.#inner.run(supply)) {
        lately.push(run);
        yield run;
      }
      if (lately.length < WORTH_A_SCAN && exhausted) return;
      this.#window.push(...lately);
      if (this.#window.length >= WINDOW) yield* this.settle();
    }
  }

  /** Scans after the programs since the last scan. */
  async *settle(): AsyncGenerator<ProgramRun, void, undefined> {
    const window = this.#window.splice(0);
    if (window.length === 0) return;
    const leak = await lostMemory(this.#inner.agent);
    if (leak !== null) yield await this.#culprit(window, leak);
  }

  /** The run of the program that leaks, with what it leaks. */
  async #culprit(runs: readonly ProgramRun[], leak: string): Promise<ProgramRun> {
    let suspects = runs;
    let shown = leak;
    while (suspects.length > 1) {
      const half = suspects.slice(0, suspects.length >> 1);
      const first = await this.#leakOf(half);
      const rest = suspects.slice(half.length);
      const second = first === null ? await this.#leakOf(rest) : null;
      if (first === null && second === null) break;
      suspects = first === null ? rest : half;
      shown = first ?? second ?? shown;
    }
    await this.#inner.restart();
    const [run] = suspects;
    if (!run) throw new TargetError("The kernel lost memory while no program ran.");
    const what =
      suspects.length === 1
        ? `The kernel has lost memory: ${shown}.`
        : `The kernel has lost memory, by one of ${suspects.length} programs of which this is the first: ${shown}.`;
    return { ...run, leaks: [...run.leaks, what] };
  }

  async #leakOf(runs: readonly ProgramRun[]): Promise<string | null> {
    await this.#inner.restart();
    for await (const _ of this.#inner.run(runs.map(({ program }) => program)));
    return lostMemory(this.#inner.agent);
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#inner[Symbol.asyncDispose]();
  }
}

/** Scans; says where the first lost object was allocated, or null where there is none. */
async function lostMemory(agent: Agent): Promise<string | null> {
  const path = SCRATCH.address;
  const scan = path + 64;
  const wait = path + 128;
  const report = path + 4096;
  const code = new Assembler()
    .pokeText(path, FILE)
    .pokeText(scan, "scan")
    .poke(wait, new Uint8Array(new BigInt64Array([SETTLING_SECONDS, 0n]).buffer))
    .syscall(SYS.openat, AT_FDCWD, path, O_RDWR)
    .keep(0)
    // Twice: a pointer that was on the move during one scan is found by the next.
    .syscall(SYS.nanosleep, wait, 0)
    .syscall(SYS.write, { slot: 0 }, scan, 4)
    .syscall(SYS.nanosleep, wait, 0)
    .syscall(SYS.write, { slot: 0 }, scan, 4);
  for (let at = 0; at < REPORT_SIZE; at += 4096) code.syscall(SYS.read, { slot: 0 }, report + at, 4096);
  code.peek(report, REPORT_SIZE);
  const { status, output } = await agent.runOne({ id: 0, code: code.finish(), timeoutMs: TIMEOUT_MS });
  const opened = output.length >= 8 ? new DataView(output.buffer, output.byteOffset).getBigInt64(0, true) : -1n;
  if (status.kind !== "done" || opened < 0n) throw new TargetError(`${FILE} could not be read; is debugfs mounted?`);
  return firstLost(new TextDecoder("latin1").decode(output.subarray(output.length - REPORT_SIZE)));
}

/** Functions of the allocator, which say nothing of who allocated. */
const ALLOCATOR =
  /^(?:kmemleak_|kmem_cache_|__kmalloc|kmalloc|__kmem|slab_|__alloc|kvmalloc|kvzalloc|vmalloc|__vmalloc|krealloc)/;

/** Size and allocating functions of the first object that a report of the detector names. Exported for its test. */
export function firstLost(report: string): string | null {
  const object = /unreferenced object 0x[0-9a-f]+ \(size (\d+)\):([\s\S]*?)(?=unreferenced object|$)/.exec(report);
  if (!object) return null;
  const [, size, text = ""] = object;
  const functions = [...text.matchAll(/^\s+(?:\[<[0-9a-f]+>\] )?(\w+(?:\.\w+)*)\+0x[0-9a-f]+\/0x[0-9a-f]+/gm)]
    .map(([, name = ""]) => name)
    .filter((name) => !ALLOCATOR.test(name));
  return `${size} bytes allocated by ${functions.slice(0, 3).join(" < ") || "an unknown function"}`;
}
