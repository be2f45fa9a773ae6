/**
 * The registers of functions: what configuration space holds while vfio-pci has them and nobody uses them, which bits keep
 * what is written, and how a program's writes are undone.
 */

import { restoringStores } from "../model/pci/hardware.ts";
import { formatRegisters, parseRegisters } from "../model/pci/register-text.ts";
import type { Program, Value } from "../model/program.ts";
import type { FunctionSpec, Topology } from "../model/topology.ts";
import { PCI_REGION, REGION_SIZE } from "../model/vfio/device-info.ts";
import { passing } from "../model/vfio-pci/config-layout.ts";
import { Assembler } from "./agent/assembler.ts";
import type { AgentConnection } from "./agent/connection.ts";
import { SCRATCH } from "./agent/layout.ts";
import type { Lowering } from "./lower/lower.ts";
import { devicePath } from "./lower/paths.ts";
import type { Shape } from "./lower/shape.ts";
import { AT_FDCWD, O_RDWR, SYS } from "./lower/syscalls.ts";
import { TargetError } from "./target.ts";

const PATH = SCRATCH.address;
const BYTES = SCRATCH.address + 0x1000;
const TIMEOUT_MS = 60_000;

/** The same topology, with the registers as they are now that vfio-pci has the functions. */
export async function readRegisters(agent: AgentConnection, topology: Topology): Promise<Topology> {
  const functions: FunctionSpec[] = [];
  for (const spec of topology.functions) {
    const [config] = await access(agent, topology, spec, [null]);
    functions.push(config ? { ...spec, config: formatRegisters(config) } : spec);
  }
  return { ...topology, functions };
}

/**
 * The same, and which bits keep what is written, of those that vfio-pci passes on: each is turned and turned back. For
 * functions of emulators only.
 *
 * @throws TargetError if a function does not take its registers back.
 */
export async function tryRegisters(agent: AgentConnection, found: Topology): Promise<Topology> {
  const topology = await readRegisters(agent, found);
  const functions: FunctionSpec[] = [];
  for (const spec of topology.functions) {
    const own = parseRegisters(spec.config, spec.configSize);
    const passed = passing(spec);
    const turned = own.map((byte, at) => byte ^ (passed[at] ?? 0));
    const [, turnedNow, , ownAgain] = await access(agent, topology, spec, [turned, null, own, null]);
    if (!turnedNow || !ownAgain || Buffer.compare(own, ownAgain) !== 0) {
      throw new TargetError(`The registers of ${spec.name} could not be tried out.`);
    }
    const keeps = own.map((byte, at) => (byte ^ (turnedNow[at] ?? 0)) & (passed[at] ?? 0));
    functions.push({ ...spec, configKeeps: formatRegisters(keeps) });
  }
  return { ...topology, functions };
}

/** Writes configuration space from its begin, or reads it whole where null is given; what was read each time. */
async function access(
  agent: AgentConnection,
  topology: Topology,
  { name, configSize }: FunctionSpec,
  steps: readonly (Uint8Array | null)[],
): Promise<(Uint8Array | undefined)[]> {
  const code = new Assembler()
    .pokeText(PATH, `${devicePath(topology, name)}/config`)
    .syscall(SYS.openat, AT_FDCWD, PATH, O_RDWR)
    .keep(0);
  for (const bytes of steps) {
    if (bytes) code.poke(BYTES, bytes).syscall(SYS.pwrite64, { slot: 0 }, BYTES, bytes.length, 0);
    else code.syscall(SYS.pread64, { slot: 0 }, BYTES, configSize, 0).peek(BYTES, configSize);
  }
  const { status, output } = await agent.runOne({
    id: 0,
    code: code.syscall(SYS.close, { slot: 0 }).finish(),
    timeoutMs: TIMEOUT_MS,
  });
  if (status.kind !== "done") throw new TargetError(`Reading the registers of ${name} ended in ${status.kind}.`);
  const view = Buffer.from(output);
  let at = 8;
  return steps.map((bytes) => {
    const done = Number(view.readBigInt64LE(at));
    at += 8;
    if (bytes) return undefined;
    at += configSize;
    return done === configSize ? new Uint8Array(view.subarray(at - configSize, at)) : undefined;
  });
}

const CONFIG_BEGIN = PCI_REGION.CONFIG * REGION_SIZE;

/**
 * Puts registers back that a program may have written and the kernel does not put back itself: the next program is to find
 * them as they were.
 */
export function restoreRegisters(lowering: Lowering, program: Program, topology: Topology, name: string): Shape[] {
  const spec = topology.functions.find((each) => each.name === name);
  if (!spec || spec.physicalFunction !== null) return [];
  const ranges = written(program, spec.configSize);
  if (ranges.length === 0) return [];
  const own = parseRegisters(spec.config, spec.configSize);
  const passed = passing(spec);
  const path = `${devicePath(topology, name)}/config`;
  const shapes: Shape[] = [];
  for (const [from, to] of ranges) {
    // The header is the kernel's to put back.
    const begin = Math.max(from, 0x40);
    if (begin >= to || passed.subarray(begin, to).every((bits) => bits === 0)) continue;
    shapes.push(lowering.writeFile(path, begin, own.subarray(begin, to)));
  }
  return shapes;
}

/** Something that is done to put a function back, and whether it must succeed. */
export interface Restoring {
  readonly shape: Shape;
  readonly must: boolean;
}

/**
 * Puts back what lies behind a function's BARs, where the suite knows what that is; no reset does. What sleeps answers to no
 * store, and vfio-pci lets functions sleep that nobody uses: it is woken up meanwhile.
 */
export function restoreHardware(lowering: Lowering, topology: Topology, name: string): Restoring[] {
  const spec = topology.functions.find((each) => each.name === name);
  const stores = spec ? restoringStores(spec) : [];
  // One without a group is no user's to open, and vfio-pci has not made it one that may sleep.
  if (!spec || spec.group < 0 || stores.length === 0) return [];
  const path = devicePath(topology, name);
  const steps: Restoring[] = [];
  const control = (text: string): void => {
    if (spec.express) steps.push({ shape: lowering.sysfsWrite(`${path}/power/control`, text), must: false });
  };
  control("on");
  steps.push({ shape: lowering.storeToFile(`${path}/resource0`, stores), must: true });
  control("auto");
  return steps;
}

/** Where a program writes to configuration spaces. */
function written({ calls }: Program, size: number): (readonly [number, number])[] {
  const ranges = new Map<number, number>();
  for (const call of calls) {
    if (call.op !== "pwrite") continue;
    const from = Number(call.offset satisfies Value) - CONFIG_BEGIN;
    if (!(from >= 0 && from < size)) continue;
    ranges.set(from, Math.max(ranges.get(from) ?? 0, Math.min(size, from + call.count)));
  }
  return [...ranges];
}
