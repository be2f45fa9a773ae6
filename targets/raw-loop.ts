/** What the agent can do at the most: a loop of cheap system calls, without anything of ours around it. */
import { Assembler } from "./agent/assembler.ts";
import { SCRATCH } from "./agent/layout.ts";
import { AT_FDCWD, O_RDWR, SYS } from "./lower/syscalls.ts";
import type { AgentTarget } from "./on-agent.ts";

/** Pairs of open and close in one program. */
const PAIRS = 5000;
const ROUNDS = 8;

/** System calls a second, opening and closing /dev/vfio/vfio in one program. */
export async function rawCallsPerSecond(target: AgentTarget): Promise<number> {
  const code = new Assembler().pokeText(SCRATCH.address, "/dev/vfio/vfio");
  for (let i = 0; i < PAIRS; i++) {
    code.syscall(SYS.openat, AT_FDCWD, SCRATCH.address, O_RDWR).keep(0).syscall(SYS.close, { slot: 0 });
  }
  const program = code.finish();
  await target.agent.runOne({ id: 0, code: program, timeoutMs: 60_000 });
  const began = performance.now();
  for (let round = 0; round < ROUNDS; round++) {
    await target.agent.runOne({ id: 0, code: program, timeoutMs: 60_000 });
  }
  return (1000 * 2 * PAIRS * ROUNDS) / (performance.now() - began);
}
