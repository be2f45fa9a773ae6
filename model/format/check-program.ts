/** What a program's shape does not tell: that ioctls, fields and handles are there, and that structs fit their memory. */
import "../machine.ts";
import { madeBy, usedBy } from "../handles.ts";
import { isStruct } from "../kernel/encode.ts";
import { findIoctl } from "../kernel/ioctl.ts";
import { BLOCK_SIZE, MAX_BLOCKS } from "../kernel/memory-map.ts";
import { type Call, type FieldValue, MOST_PROCESSES, mayBeBy, type Program, type StructArgument } from "../program.ts";
import type { Layout } from "../uapi/layout.ts";

/** What is wrong with a program first, naming the call by its index from 0; undefined where it can be run. */
export function checkProgram({ calls }: Program): string | undefined {
  const made = new Set<string>();
  let blocks = 0;
  let processes = 0;
  for (const [index, call] of calls.entries()) {
    const wrong = checkShape(call) ?? checkHandles(call, made);
    if (wrong) return `call ${index} (${call.op === "ioctl" ? call.request : call.op}) ${wrong}`;
    for (const name of madeBy(call)) made.add(name);
    blocks += blocksOf(call);
    if (call.op === "fork" && ++processes > MOST_PROCESSES) {
      return `call ${index} is one too many: a program makes at most ${MOST_PROCESSES} processes`;
    }
    if (blocks > MAX_BLOCKS) return `call ${index} is one too many: a program has at most ${MAX_BLOCKS} structs`;
  }
  return undefined;
}

function checkShape(call: Call): string | undefined {
  if (call.by !== undefined && !mayBeBy(call)) return "is no call that another process makes";
  switch (call.op) {
    case "ioctl":
      return checkIoctl(call);
    case "read":
    case "pread":
      return call.into !== undefined && call.place !== undefined
        ? "keeps what it reads, but not in plain memory"
        : undefined;
    case "write":
    case "pwrite":
      return call.from !== undefined && (call.bytes !== undefined || call.place !== undefined)
        ? "writes what was read, and something else"
        : undefined;
    case "load":
    case "store":
      return call.offset % call.width === 0 ? undefined : "is not aligned to its width";
    default:
      return undefined;
  }
}

function checkIoctl(call: Call & { op: "ioctl" }): string | undefined {
  const definition = findIoctl(call.request);
  if (!definition) return "is an ioctl that this suite does not know";
  const layout = definition.argument.kind === "struct" ? definition.argument.layout : undefined;
  if (call.arg.kind === "struct") {
    if (!layout) return "takes no struct";
    const wrong = checkStruct(call.arg.struct, layout);
    if (wrong) return wrong;
  }
  for (const name of Object.keys(call.binds ?? {})) {
    if (call.arg.kind !== "struct") return `binds ${name}, but has no struct`;
    if (!layout?.fields.some((field) => field.name === name))
      return `binds ${name}, which struct ${layout?.name} has not`;
  }
  return undefined;
}

function checkStruct(argument: StructArgument, layout: Layout): string | undefined {
  for (const [name, value] of Object.entries(argument.fields)) {
    const wrong = checkField(name, value, layout);
    if (wrong) return wrong;
  }
  return lengthOf(argument, layout) > BLOCK_SIZE ? `has a struct of more than ${BLOCK_SIZE} bytes` : undefined;
}

function checkField(name: string, value: FieldValue, layout: Layout): string | undefined {
  if (name === layout.trailing?.name) return Array.isArray(value) ? undefined : `has no list for ${name}`;
  const field = layout.fields.find((candidate) => candidate.name === name);
  if (!field) return `sets ${name}, which struct ${layout.name} has not`;
  if (isStruct(value)) {
    return field.meaning.kind === "pointer"
      ? checkStruct(value, field.meaning.to)
      : `has a struct for ${name}, a number`;
  }
  return typeof value === "object" ? `has a list for ${name}, a number` : undefined;
}

function lengthOf({ fields, tail }: StructArgument, { size, trailing }: Layout): number {
  const elements = trailing && fields[trailing.name];
  const listed = trailing && Array.isArray(elements) ? elements.length * trailing.width : 0;
  return size + listed + (tail?.length ?? 0);
}

function blocksOf(call: Call): number {
  if (call.op === "read" || call.op === "pread") return 1;
  if (call.op === "write" || call.op === "pwrite") return call.from === undefined ? 1 : 0;
  if (call.op !== "ioctl") return 0;
  return call.arg.kind === "struct" ? structsIn(call.arg.struct) : 1;
}

function structsIn({ fields }: StructArgument): number {
  let count = 1;
  for (const value of Object.values(fields)) if (isStruct(value)) count += structsIn(value);
  return count;
}

function checkHandles(call: Call, made: ReadonlySet<string>): string | undefined {
  for (const name of usedBy(call)) if (!made.has(name)) return `uses ${name}, which no earlier call makes`;
  return undefined;
}
