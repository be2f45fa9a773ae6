/**
 * Shrinking: smaller programs that might still show what a program showed.
 *
 * Programs name handles, so dropping a call takes care of what depended on it: a later use is rebound to another handle
 * of the same kind where an earlier call still makes one, and dropped where none does.
 */

import { handleKind, madeBy } from "../model/handles.ts";
import { isStruct } from "../model/kernel/encode.ts";
import type { Call, FieldValue, Program, StructArgument } from "../model/program.ts";

/**
 * Candidates, the most promising first: whole runs of calls gone, then single calls, then simpler arguments. Trying them
 * in order, and starting over from each that still fails, ends in a program none of whose calls can be removed.
 */
export function* shrinkProgram(program: Program): Generator<Program> {
  const { calls } = program;
  for (let size = calls.length >> 1; size >= 1; size >>= 1) {
    for (let end = calls.length; end > 0; end -= size) {
      const start = Math.max(0, end - size);
      const dropped = dropCalls(calls, start, end);
      if (dropped.length < calls.length) yield { ...program, calls: dropped };
    }
  }
  for (let at = 0; at < calls.length; at++) {
    const call = calls[at];
    if (!call) continue;
    for (const simpler of simplerCalls(call)) {
      yield { ...program, calls: calls.with(at, simpler) };
    }
  }
}

/** The calls without [start, end) and without what can't do without them. */
export function dropCalls(calls: readonly Call[], start: number, end: number): Call[] {
  const kept: Call[] = [];
  const lost = new Set<string>();
  const made: string[] = [];
  for (let at = 0; at < calls.length; at++) {
    const call = calls[at];
    if (!call) continue;
    if (at >= start && at < end) {
      for (const handle of madeBy(call)) lost.add(handle);
      continue;
    }
    const rebound = rebind(call, lost, made);
    if (rebound) {
      kept.push(rebound);
      made.push(...madeBy(rebound));
    } else {
      for (const handle of madeBy(call)) lost.add(handle);
    }
  }
  return kept;
}

/** The call with lost handles replaced by the latest of the same kind; null when there is none. */
function rebind(call: Call, lost: ReadonlySet<string>, made: readonly string[]): Call | null {
  let hopeless = false;
  const replaced = mapHandles(call, (handle) => {
    if (!lost.has(handle)) return handle;
    const other = made.findLast((candidate) => handleKind(candidate) === handleKind(handle));
    if (other === undefined) hopeless = true;
    return other ?? handle;
  });
  return hopeless ? null : replaced;
}

/** The call with every handle that it uses (not those it makes) passed through `map`. */
export function mapHandles(call: Call, map: (handle: string) => string): Call {
  const mapped = mapArguments(call, map);
  return mapped.by === undefined ? mapped : { ...mapped, by: map(mapped.by) };
}

function mapArguments(call: Call, map: (handle: string) => string): Call {
  const value = <V extends FieldValue>(from: V): V | string => (typeof from === "string" ? map(from) : from);
  const struct = (from: StructArgument): StructArgument => {
    const fields: Record<string, FieldValue> = {};
    for (const [name, entry] of Object.entries(from.fields)) {
      fields[name] = isStruct(entry) ? struct(entry) : Array.isArray(entry) ? entry.map(value) : value(entry);
    }
    return { ...from, fields };
  };
  switch (call.op) {
    case "ioctl": {
      const fd = value(call.fd);
      if (call.arg.kind === "struct") return { ...call, fd, arg: { kind: "struct", struct: struct(call.arg.struct) } };
      if (call.arg.kind === "value") return { ...call, fd, arg: { kind: "value", value: value(call.arg.value) } };
      return { ...call, fd };
    }
    case "close":
    case "dup":
    case "read":
      return { ...call, fd: value(call.fd) };
    case "write":
      return { ...call, fd: value(call.fd), ...(call.from === undefined ? {} : { from: map(call.from) }) };
    case "join":
      return { ...call, task: map(call.task) };
    case "exit":
      return { ...call, process: map(call.process) };
    case "munmap":
    case "load":
    case "store":
      return { ...call, at: value(call.at) };
    case "pread":
    case "mmap":
      return { ...call, fd: value(call.fd), offset: value(call.offset) };
    case "pwrite": {
      const from = call.from === undefined ? {} : { from: map(call.from) };
      return { ...call, fd: value(call.fd), offset: value(call.offset), ...from };
    }
    default:
      return call;
  }
}

/** The same call with one argument in its simplest form. */
function* simplerCalls(call: Call): Generator<Call> {
  if (call.failNth !== undefined) {
    const { failNth, ...plain } = call;
    yield plain;
    for (const sooner of new Set([1, failNth >> 1, failNth - 1])) {
      if (sooner > 0 && sooner < failNth) yield { ...call, failNth: sooner };
    }
  }
  if (call.by !== undefined) {
    const { by: _, ...own } = call;
    yield own;
  }
  if (call.op === "open" && call.flags !== undefined) {
    const { flags: _, ...plain } = call;
    yield plain;
  }
  if (call.op === "capset") {
    for (let at = 0; at < call.without.length; at++) yield { ...call, without: call.without.toSpliced(at, 1) };
  }
  if (call.op !== "ioctl" || call.arg.kind !== "struct") return;
  for (const struct of simplerStructs(call.arg.struct)) yield { ...call, arg: { kind: "struct", struct } };
}

function* simplerStructs(struct: StructArgument): Generator<StructArgument> {
  if (struct.place !== undefined) {
    const { place: _, ...plain } = struct;
    yield plain;
  }
  if (struct.tail !== undefined) {
    const { tail: _, ...plain } = struct;
    yield plain;
  }
  for (const [name, value] of Object.entries(struct.fields)) {
    if (isStruct(value)) {
      for (const inner of simplerStructs(value)) yield { ...struct, fields: { ...struct.fields, [name]: inner } };
    } else if (Array.isArray(value)) {
      for (let at = 0; at < value.length; at++) {
        yield { ...struct, fields: { ...struct.fields, [name]: value.toSpliced(at, 1) } };
      }
    } else if (value !== 0 && value !== 0n) {
      // Zero is the simplest number, also in place of a handle: what made the handle may then go.
      const { [name]: _, ...rest } = struct.fields;
      yield { ...struct, fields: rest };
    }
  }
}
