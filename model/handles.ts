/** Which handles a call makes, and which it uses. */
import { isStruct } from "./kernel/encode.ts";
import type { Call, StructArgument, Value } from "./program.ts";

/** Handles that a call brings. */
export function madeBy(call: Call): readonly string[] {
  if (call.op === "read" || call.op === "pread") return call.into === undefined ? [] : [call.into];
  if (call.op !== "ioctl") return "as" in call && call.as !== undefined ? [call.as] : [];
  const bound = Object.values(call.binds ?? {});
  return call.as === undefined ? bound : [call.as, ...bound];
}

/** Handles that a call uses. */
export function usedBy(call: Call): readonly string[] {
  const used: string[] = [];
  const value = (from: Value): void => {
    if (typeof from === "string") used.push(from);
  };
  const struct = ({ fields }: StructArgument): void => {
    for (const entry of Object.values(fields)) {
      if (isStruct(entry)) struct(entry);
      else if (typeof entry === "object") entry.forEach(value);
      else value(entry);
    }
  };
  if ("fd" in call) value(call.fd);
  if ("at" in call) value(call.at);
  if ("task" in call) value(call.task);
  if ("process" in call) value(call.process);
  if (call.by !== undefined) value(call.by);
  if ("offset" in call) value(call.offset);
  if ((call.op === "write" || call.op === "pwrite") && call.from !== undefined) value(call.from);
  if (call.op === "ioctl" && call.arg.kind === "value") value(call.arg.value);
  if (call.op === "ioctl" && call.arg.kind === "struct") struct(call.arg.struct);
  return used;
}

/** The kind of thing that a handle names: `ioas` for `@ioas3`. */
export function handleKind(handle: string): string {
  let end = handle.length;
  while (end > 0 && handle.charCodeAt(end - 1) <= NINE) end--;
  return handle.slice(1, end);
}

const NINE = "9".charCodeAt(0);
