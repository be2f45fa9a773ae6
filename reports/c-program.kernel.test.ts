/**
 * The C programs on a real kernel: compiled into one static binary, carried into the guest by the agent, and started there
 * one after the other. What the judge says of a program its C source must say too.
 */
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deviationsOf, guardsOf } from "../campaign/deviations/all.ts";
import { isDestructive } from "../campaign/scenarios.ts";
import type { Override } from "../model/machine.ts";
import type { Program } from "../model/program.ts";
import { PROPERTIES } from "../properties/all.ts";
import { sampleChunk } from "../properties/sample.ts";
import { SCENARIOS } from "../scenarios/all.ts";
import { whyNot } from "../scenarios/scenario.ts";
import { Assembler } from "../targets/agent/assembler.ts";
import { SCRATCH } from "../targets/agent/layout.ts";
import { cleanupOf } from "../targets/agent-programs.ts";
import { ensureKernel } from "../targets/kernel/build.ts";
import { AT_FDCWD, SYS } from "../targets/lower/syscalls.ts";
import type { AgentTarget } from "../targets/on-agent.ts";
import { IOMMU_MACHINE } from "../targets/qemu/machines.ts";
import { startQemu } from "../targets/qemu/target.ts";
import { modelExpectations } from "./c/expectations.ts";
import { toC } from "./c-program.ts";

const EXECVE = 59;
const CREATE_TO_WRITE = 0o1101;
const BINARY = "/tmp/programs";
const OUTPUT = "/tmp/output";
const PIECE = 256 * 1024;
/** Guest time, which stands still while the host is busy. */
const TIMEOUT_MS = 300_000;

interface Case {
  readonly id: string;
  readonly program: Program;
  readonly source: string;
  /** Whether the kernel gives other answers than the source expects. */
  readonly differs: boolean;
}

/** Starts a program by its number, with its output in a file, and writes down how it ended. */
const runner = (count: number): string => `
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
${Array.from({ length: count }, (_, i) => `int program_${i}(int argc, char **argv);`).join("\n")}
static int (*const programs[])(int, char **) = { ${Array.from({ length: count }, (_, i) => `program_${i}`).join(", ")} };
int main(int argc, char **argv)
{
	int status, fd = open("${OUTPUT}", O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *args[] = { "program", NULL };
	dup2(fd, 1);
	dup2(fd, 2);
	close(fd);
	if (fork() == 0)
		exit(programs[atoi(argv[argc - 1])](1, args));
	wait(&status);
	dprintf(1, "\\nexit %d\\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return 0;
}
`;

/** One static binary of all programs. */
async function compile(sources: readonly string[]): Promise<Uint8Array> {
  const directory = await mkdtemp(join(tmpdir(), "vfio-conformance-"));
  try {
    const objects: string[] = [];
    for (const [i, source] of sources.entries()) {
      const name = join(directory, `${i}`);
      await writeFile(`${name}.c`, source);
      execFileSync("cc", ["-Wall", "-Wextra", "-Werror", "-c", `-Dmain=program_${i}`, `${name}.c`, "-o", `${name}.o`]);
      objects.push(`${name}.o`);
    }
    const main = join(directory, "main.c");
    const binary = join(directory, "programs");
    await writeFile(main, runner(sources.length));
    execFileSync("cc", ["-static", "-s", main, ...objects, "-o", binary]);
    return await readFile(binary);
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Runs code of the agent's in a process of its own; gives its output. */
async function carryOut({ agent }: AgentTarget, code: Uint8Array): Promise<Uint8Array> {
  const { status, output } = await agent.runOne({ id: 0, code, timeoutMs: TIMEOUT_MS });
  expect(status.kind).toBe("done");
  return output;
}

async function upload(target: AgentTarget, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += PIECE) {
    const piece = bytes.subarray(at, at + PIECE);
    const code = new Assembler().pokeText(SCRATCH.address, BINARY);
    code.syscall(SYS.openat, AT_FDCWD, SCRATCH.address, at === 0 ? CREATE_TO_WRITE : O_APPEND, 0o755).keep(0);
    code.poke(SCRATCH.address + 4096, piece).syscall(SYS.write, { slot: 0 }, SCRATCH.address + 4096, piece.length);
    const output = await carryOut(target, code.finish());
    expect(new DataView(output.buffer, output.byteOffset).getBigInt64(8, true)).toBe(BigInt(piece.length));
  }
}

const O_APPEND = 0o2001;

/** Starts the program of that number; gives what it printed. */
async function start(target: AgentTarget, number: number): Promise<string> {
  const at = SCRATCH.address;
  const argv = new BigUint64Array([BigInt(at), BigInt(at + 64), 0n]);
  const code = new Assembler()
    .pokeText(at, BINARY)
    .pokeText(at + 64, `${number}`)
    .poke(at + 128, new Uint8Array(argv.buffer))
    .syscall(EXECVE, at, at + 128, 0);
  await carryOut(target, code.finish());
  const room = 512 * 1024;
  const read = new Assembler().pokeText(at, OUTPUT).syscall(SYS.openat, AT_FDCWD, at, 0).keep(0);
  read.syscall(SYS.read, { slot: 0 }, at + 4096, room).peek(at + 4096, room);
  const output = await carryOut(target, read.finish());
  const length = Number(new DataView(output.buffer, output.byteOffset).getBigInt64(8, true));
  return new TextDecoder().decode(output.subarray(16, 16 + length));
}

describe("the C source of a program", () => {
  let target: AgentTarget;
  let binary: Uint8Array;
  const cases: Case[] = [];

  beforeAll(async () => {
    const never = new AbortController().signal;
    const kernel = await ensureKernel({ kind: "release", version: "7.2", flavour: "plain" }, () => {}, never);
    target = await startQemu({ kernel, machine: IOMMU_MACHINE });
    const { topology, profile } = target;
    const deviations = deviationsOf(profile);
    const cOf = (program: Program, overrides: readonly Override[]): string =>
      toC(program, topology, modelExpectations(program, { topology, profile, overrides }), { what: "A test." });

    const overrides = deviations
      .filter(({ destructive }) => !destructive)
      .map((deviation): Override => ({ id: deviation.id, apply: (k) => deviation.apply(k, () => {}) }));
    // Scenarios expect what is right, also where this kernel is known to answer otherwise.
    for (const scenario of SCENARIOS) {
      if (whyNot(scenario, profile, topology) !== null || isDestructive(scenario, deviations)) continue;
      const program: Program = { machine: topology.name, calls: scenario.calls };
      const source = cOf(program, []);
      const shown = deviations.find(({ id }) => id === scenario.breaks);
      // What only the log tells, no program can compare.
      if (shown?.onlyLogged) continue;
      const differs = shown !== undefined || source !== cOf(program, overrides);
      cases.push({ id: scenario.id, program, source, differs });
    }
    // Generated programs expect what is known of this kernel, and stop in front of what would damage it.
    // Which allocation it is that fails, a kernel alone knows: of those the scenarios have some that each makes.
    const countless = PROPERTIES.filter(
      (property) => property.focus(topology).devices.length > 0 && property.focus(topology).failOneIn === undefined,
    );
    const guarded = { topology, profile, overrides: guardsOf(deviations) };
    for (const property of countless) {
      const sampled = sampleChunk(property, guarded, 1, () => null, 8);
      for (const [i, { program }] of sampled.entries()) {
        cases.push({ id: `${property.id}:${i}`, program, source: cOf(program, overrides), differs: false });
      }
    }
    binary = await compile(cases.map(({ source }) => source));
    await upload(target, binary);
  });

  afterAll(() => target?.[Symbol.asyncDispose]());

  test("gives the verdict of the judge", async () => {
    expect(cases.length).toBeGreaterThan(50);
    const wrong: string[] = [];
    for (const [number, { id, program, differs }] of cases.entries()) {
      const output = await start(target, number);
      await carryOut(target, cleanupOf(program, target.topology));
      if (!output.endsWith(`\nexit ${differs ? 1 : 0}\n`))
        wrong.push(`${id} should end with ${differs ? 1 : 0}:\n${output}`);
    }
    expect(wrong.join("\n")).toBe("");
  });
});
