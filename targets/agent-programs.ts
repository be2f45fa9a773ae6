/**
 * Programs as requests to the agent: the calls, and the cleanup that puts back what they may have changed and looks at
 * what they left.
 */
import { names } from "../model/driver-core/sysfs-text.ts";
import { madeBy } from "../model/handles.ts";
import { ioctl } from "../model/ioctl-calls.ts";
import { setTempMemoryLimit } from "../model/iommufd/selftest/check.ts";
import { availableAtFirst, madeByText } from "../model/mdev/mdev.ts";
import type { Call, Outcome, Program } from "../model/program.ts";
import { argumentText, type Topology } from "../model/topology.ts";
import { FEATURE } from "../model/vfio/feature.ts";
import { Assembler } from "./agent/assembler.ts";
import { MARK_EXIT, MARK_NONE } from "./agent/layout.ts";
import type { AgentRequest, AgentResult, AgentStatus } from "./agent/wire.ts";
import { OutputReader } from "./lower/decode.ts";
import { Lowering } from "./lower/lower.ts";
import { attributePath, devicePath, KVM_DEBUGFS, MDEV_DEVICES, VM_DIRECTORY } from "./lower/paths.ts";
import type { Shape } from "./lower/shape.ts";
import { removeIds } from "./new-ids.ts";
import { restoreHardware, restoreRegisters } from "./registers.ts";
import { bringBack, withLater } from "./removed.ts";
import { makeStanding, removeMdev, standingMdevs } from "./standing.ts";
import type { ProgramRun, RunEnd } from "./target.ts";

/** What a look at the system after a program must find. */
export interface Check {
  readonly shape: Shape;
  /** What is wrong, or undefined. */
  wrong(outcome: Outcome): string | undefined;
}

/** A program made ready for the agent. */
export interface Prepared {
  readonly program: Program;
  readonly request: AgentRequest;
  readonly shapes: readonly Shape[];
  readonly checks: readonly Check[];
}

/** One assembler serves every program; it keeps its buffer. */
const code = new Assembler();

/** Lowers a program and its cleanup. `timeoutMs` is what the calls, and then the cleanup, may each take. */
export function prepare(id: number, program: Program, topology: Topology, timeoutMs: number): Prepared {
  const shapes = new Lowering(code, topology).program(program);
  const calls = code.finish();
  const checks = lowerCleanup(program, topology);
  return { program, request: { id, code: calls, cleanup: code.finish(), timeoutMs }, shapes, checks };
}

/** Code that puts back what a program may have changed, for one that has run otherwise than by the agent; nothing is looked for. */
export function cleanupOf(program: Program, topology: Topology): Uint8Array {
  lowerCleanup(program, topology);
  return code.finish();
}

/** Puts back mdevs, bindings and overrides that the program may have changed; then looks for what it left. */
function lowerCleanup(program: Program, topology: Topology): Check[] {
  const lowering = new Lowering(code, topology);
  const checks: Check[] = [];
  const ignore = (shape: Shape): void => {
    checks.push({ shape, wrong: () => undefined });
  };
  const touched = touchedBy(program, topology);
  if (touched.memoryLimit) for (const call of RESTORE_MEMORY_LIMIT) ignore(lowering.call(call));
  for (const kind of touched.autoprobe) {
    ignore(lowering.sysfsWrite(attributePath(topology, { kind, file: "drivers_autoprobe" }), "1"));
  }
  const ids = removeIds(lowering, program, topology);
  ids.removals.forEach(ignore);
  for (const { shape, what } of ids.probes) checks.push({ shape, wrong: ({ ret }) => (ret >= 0 ? what : undefined) });
  for (const device of touched.mdevs) ignore(removeMdev(lowering, topology, device));
  // Virtual functions end with the program: nothing of them is there to be put back.
  for (const device of touched.physical) ignore(lowering.sysfsWrite(numVfsPath(topology, device), "0"));
  for (const check of bringBack(lowering, topology, touched.removed)) checks.push(check);
  for (const mdev of standingMdevs(topology)) {
    if (!touched.mdevs.has(mdev.name)) continue;
    const { create, ways } = makeStanding(lowering, topology, mdev);
    ignore(create);
    for (const { before, question } of ways) [...before, question].forEach(ignore);
  }
  for (const device of touched.written) restoreRegisters(lowering, program, topology, device).forEach(ignore);
  for (const device of touched.rebound) {
    const path = devicePath(topology, device);
    const address = path.slice(path.lastIndexOf("/") + 1);
    ignore(lowering.sysfsWrite(`${path}/driver_override`, "vfio-pci"));
    ignore(lowering.sysfsWrite(`${path}/driver/unbind`, address));
    ignore(lowering.sysfsWrite("/sys/bus/pci/drivers/vfio-pci/bind", address));
  }
  for (const device of touched.physical) {
    checks.push({
      shape: lowering.call({ op: "sysfs-read", attribute: { kind: "sriov", device, file: "sriov_numvfs" } }),
      wrong: ({ text }) => (text === "0\n" ? undefined : `Virtual functions of ${device} are still there.`),
    });
  }
  for (const device of touched.stored) {
    for (const { shape, must } of restoreHardware(lowering, topology, device)) {
      checks.push({
        shape,
        wrong: ({ ret }) => (must && ret < 0 ? `The registers of ${device} could not be put back: ${ret}.` : undefined),
      });
    }
  }
  if (touched.mdevs.size > 0) {
    const standing = topology.mdevs.flatMap(({ uuid, standing }) => (standing ? [uuid] : []));
    checks.push({
      shape: lowering.list(MDEV_DEVICES),
      wrong: ({ text }) => {
        const there = (text ?? "").split("\n").filter((name) => name !== "");
        const left = there.filter((name) => !standing.includes(name));
        if (left.length > 0) return `Mediated devices are still there: ${left.join(", ")}.`;
        const lost = standing.filter((uuid) => !there.includes(uuid));
        return lost.length > 0 ? `Mediated devices could not be made again: ${lost.join(", ")}.` : undefined;
      },
    });
    for (const { parent, type, available } of availableAtFirst(topology)) {
      checks.push({
        shape: lowering.call({ op: "sysfs-read", attribute: { kind: "available_instances", parent, type } }),
        wrong: ({ text }) =>
          text === undefined || Number(text) === available
            ? undefined
            : `There are ${text.trim()} instances of ${type} to be had, where there were ${available} before.`,
      });
    }
  }
  if (touched.kvm) {
    checks.push({
      shape: lowering.list(KVM_DEBUGFS),
      wrong: ({ text }) => {
        const alive = (text ?? "").split("\n").filter((name) => VM_DIRECTORY.test(name));
        return alive.length > 0 ? `VMs are still alive: ${alive.join(", ")}.` : undefined;
      },
    });
  }
  for (const device of touched.opened) {
    checks.push({
      shape: lowering.tryOpen({ kind: "group", device }),
      wrong: ({ ret }) => (ret === -16 ? `The group of ${device} is still in use.` : undefined),
    });
  }
  return checks;
}

const numVfsPath = (topology: Topology, device: string): string =>
  attributePath(topology, { kind: "sriov", device, file: "sriov_numvfs" });

/** Gives iommufd's batches the size that they have without the selftests' asking for another. */
const RESTORE_MEMORY_LIMIT: readonly Call[] = [
  { op: "open", node: { kind: "iommufd" }, as: "@iommufd" },
  ioctl("@iommufd", setTempMemoryLimit.name, { size: 72, op: 9, limit: 65536 }),
  { op: "close", fd: "@iommufd" },
];

interface Touched {
  readonly mdevs: ReadonlySet<string>;
  /** Devices whose registers may have been written. */
  readonly written: ReadonlySet<string>;
  /** Functions to whose BARs something may have been stored. */
  readonly stored: ReadonlySet<string>;
  readonly rebound: ReadonlySet<string>;
  /** Functions that may have been taken off the bus. */
  readonly removed: ReadonlySet<string>;
  /** Functions that may have virtual ones. */
  readonly physical: ReadonlySet<string>;
  /** Functions whose group or node was opened. */
  readonly opened: ReadonlySet<string>;
  readonly kvm: boolean;
  /** Buses that were told when to look for drivers. */
  readonly autoprobe: ReadonlySet<"mdev-bus" | "pci-bus">;
  /** Whether the selftests' size of iommufd's batches was set, which is the system's. */
  readonly memoryLimit: boolean;
}

function touchedBy(program: Program, topology: Topology): Touched {
  const mdevs = new Set<string>();
  const rebound = new Set<string>();
  const takenOff = new Set<string>();
  const physical = new Set<string>();
  const opened = new Set<string>();
  let kvm = false;
  const autoprobe = new Set<"mdev-bus" | "pci-bus">();
  const memoryLimit = program.calls.some((call) => call.op === "ioctl" && call.request === setTempMemoryLimit.name);
  const written = changedDevices(program, topology);
  for (const name of written) if (topology.mdevs.some((mdev) => mdev.name === name)) mdevs.add(name);
  const isFunction = (device: string): boolean => topology.functions.some((spec) => spec.name === device);
  // What is stored through a mapping or an eventfd may be any function's that was opened.
  const storesUnnamed = program.calls.some(
    (call) => call.op === "store" || (call.op === "ioctl" && call.request === "VFIO_DEVICE_IOEVENTFD"),
  );
  for (const call of program.calls) {
    if (call.op === "open") {
      if (call.node.kind === "kvm") kvm = true;
      else if ("device" in call.node && isFunction(call.node.device)) opened.add(call.node.device);
    } else if (call.op === "sysfs-write" || call.op === "start") {
      touchedByWrite(call, topology, mdevs, rebound);
      const { kind } = call.attribute;
      if (call.attribute.kind === "sriov") physical.add(call.attribute.device);
      if (call.attribute.kind === "pci-device" && call.attribute.file === "remove") takenOff.add(call.attribute.device);
      if (kind === "mdev-bus" || kind === "pci-bus") autoprobe.add(kind);
    }
  }
  const removed = withLater(topology, takenOff);
  for (const name of removed) rebound.add(name);
  for (const { name, physicalFunction } of topology.functions) if (physicalFunction !== null) rebound.delete(name);
  // Its users may have given it a token, which the next would find: it gets a new one with the driver.
  for (const { name, totalVfs } of topology.functions) if (totalVfs > 0 && opened.has(name)) rebound.add(name);
  const stored = storesUnnamed ? opened : written;
  return { mdevs, written, stored, rebound, removed, physical, opened, kvm, autoprobe, memoryLimit };
}

/** Names of devices in which a program may leave something: emulated ones keep registers and migration state for the next. */
function changedDevices({ calls }: Program, topology: Topology): ReadonlySet<string> {
  const changed = new Set<string>();
  /** The device behind each handle that is open, null where there is none. */
  const behind = new Map<string, string | null>();
  for (const call of calls) {
    if ("fd" in call && changesDevice(call)) {
      const device = typeof call.fd === "string" ? behind.get(call.fd) : undefined;
      if (typeof device === "string") changed.add(device);
      // A number, or a handle that was closed, may be anything that is open by now.
      if (device === undefined) for (const other of behind.values()) if (other !== null) changed.add(other);
    }
    if (call.op === "close" && typeof call.fd === "string") behind.delete(call.fd);
    else if (call.op === "dup" && (typeof call.fd !== "string" || !behind.has(call.fd))) behind.delete(call.as);
    else for (const handle of madeBy(call)) behind.set(handle, deviceOpenedBy(call, topology, behind));
  }
  return changed;
}

/** The device behind what a call brings: opened by its node or by its group, or one more descriptor of it. */
function deviceOpenedBy(call: Call, topology: Topology, behind: ReadonlyMap<string, string | null>): string | null {
  switch (call.op) {
    case "open":
      return call.node.kind === "cdev" ? call.node.device : null;
    case "dup":
      return (typeof call.fd === "string" && behind.get(call.fd)) || null;
    case "ioctl": {
      if (call.arg.kind !== "name") return null;
      const text = argumentText(topology, call.arg);
      return call.arg.device ?? topology.mdevs.find(({ uuid }) => text.startsWith(uuid))?.name ?? null;
    }
    default:
      return null;
  }
}

/** Whether a call on a device may leave something in it. */
function changesDevice(call: Call): boolean {
  switch (call.op) {
    case "write":
    case "pwrite":
      return true;
    case "ioctl": {
      if (call.request === "VFIO_DEVICE_SET_IRQS") return true;
      if (!call.request.startsWith("VFIO_DEVICE_FEATURE") || call.arg.kind !== "struct") return false;
      const flags = call.arg.struct.fields["flags"];
      return typeof flags !== "number" || (flags & (FEATURE.SET | FEATURE.PROBE)) === FEATURE.SET;
    }
    default:
      return false;
  }
}

function touchedByWrite(
  { attribute, text }: Call & { op: "sysfs-write" | "start" },
  topology: Topology,
  mdevs: Set<string>,
  rebound: Set<string>,
): void {
  switch (attribute.kind) {
    case "mdev-create": {
      const made = madeByText(topology, text);
      if (made !== null) mdevs.add(made);
      break;
    }
    case "mdev-driver":
      for (const { name, uuid } of topology.mdevs) {
        if ("device" in text ? text.device === name : names(text.text, uuid)) mdevs.add(name);
      }
      break;
    case "mdev-remove":
      mdevs.add(attribute.device);
      break;
    case "driver_override":
      rebound.add(attribute.device);
      break;
    case "bind":
    case "unbind":
    case "pci-bus":
      if ("device" in text) rebound.add(text.device);
      break;
  }
}

/** What the agent's answer says came of the program. */
export function interpret({ program, shapes, checks }: Prepared, result: AgentResult): ProgramRun {
  const reader = new OutputReader(result.output);
  const outcomes: Outcome[] = [];
  for (const [at, shape] of shapes.entries()) {
    const outcome = reader.next(shape, program.calls[at]?.failNth !== undefined);
    if (!outcome) break;
    outcomes.push(outcome);
  }
  const leaks: string[] = [];
  const looked = new OutputReader(result.cleanupOutput);
  for (const { shape, wrong } of checks) {
    const outcome = looked.next(shape);
    const what = outcome && wrong(outcome);
    if (what) leaks.push(what);
  }
  if (result.cleanupStatus.kind === "hung") leaks.push(`Cleaning up did not end. ${result.cleanupStatus.stack}`.trim());
  return { program, outcomes, end: endOf(result.status, program, outcomes.length), log: result.log, leaks };
}

function endOf(status: AgentStatus, program: Program, made: number): RunEnd {
  switch (status.kind) {
    case "done":
      if (program.calls[made]?.failNth === undefined) return { kind: "done" };
      return { kind: "not-run", why: "The kernel can't be asked to fail an allocation." };
    case "hung":
      return { kind: "hung", call: markOf(status.mark, program), stack: status.stack };
    case "signal":
      return { kind: "signal", signal: status.signo, call: markOf(status.mark, program) };
    case "malformed":
      return { kind: "not-run", why: `The agent did not understand its bytecode at byte ${status.at}.` };
  }
}

/** The call that a mark stands for; the end of the process counts as one after the last. */
function markOf(mark: number, { calls }: Program): number {
  return mark === MARK_NONE ? 0 : mark === MARK_EXIT ? calls.length : mark;
}
