/**
 * The machine's functions on the root bus are taken off it once and found again: their BARs are then where the kernel puts them, and
 * not where the firmware did, and each time that a program does the same they come to lie there again. Behind a bridge, whose window is
 * theirs alone, they keep their places.
 */
import { Assembler } from "../agent/assembler.ts";
import type { AgentConnection } from "../agent/connection.ts";
import { SCRATCH } from "../agent/layout.ts";
import { AT_FDCWD, O_WRONLY, SYS } from "../lower/syscalls.ts";
import { TargetError } from "../target.ts";
import type { MachineDevice } from "./machines.ts";
import { addressesByPlace } from "./survey.ts";

const PATH = SCRATCH.address;
const TEXT = SCRATCH.address + 4096;
const FILE_SLOT = 0;
const TIMEOUT_MS = 60_000;

/** See the file's comment. @throws TargetError if one does not come back. */
export async function placeAnew(agent: AgentConnection, devices: readonly MachineDevice[]): Promise<void> {
  const before = await addressesByPlace(agent);
  const code = new Assembler();
  const onRoot = devices.filter(({ path }) => path.length === 1);
  for (const { path } of onRoot) writeOne(code, `/sys/bus/pci/devices/${before.get(path.join("/"))}/remove`);
  writeOne(code, "/sys/bus/pci/rescan");
  const { status } = await agent.runOne({ id: 0, code: code.finish(), timeoutMs: TIMEOUT_MS });
  if (status.kind !== "done") throw new TargetError(`Placing functions anew ended in ${status.kind}.`);
  const after = await addressesByPlace(agent);
  for (const { name, path } of onRoot) {
    const place = path.join("/");
    if (before.get(place) !== after.get(place)) throw new TargetError(`${name} did not come back to where it was.`);
  }
}

/** Writes 1 to a file. */
function writeOne(code: Assembler, path: string): void {
  code
    .pokeText(PATH, path)
    .pokeText(TEXT, "1")
    .syscall(SYS.openat, AT_FDCWD, PATH, O_WRONLY)
    .keep(FILE_SLOT)
    .unlessFailed((then) =>
      then.syscall(SYS.write, { slot: FILE_SLOT }, TEXT, 1).syscall(SYS.close, { slot: FILE_SLOT }),
    );
}
