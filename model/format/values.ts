/** Numbers and names inside of a line: by handle, by name, in hexadecimal where they are addresses. */
import { MEMORY } from "../kernel/memory-map.ts";
import type { Value } from "../program.ts";
import type { Layout, Meaning } from "../uapi/layout.ts";
import { named, namesOfField } from "./names.ts";

/** `ioas0` for `@ioas0`. */
export function handle(name: string): string {
  return name.replace(/^@/, "");
}

/** A number or a handle: small numbers in decimal, others in hexadecimal. */
export function printValue(value: Value): string {
  if (typeof value === "string") return handle(value);
  return value > -4096 && value < 4096 ? value.toString() : hex(value);
}

/** A field's number as its meaning has it: flags and types by name, addresses in hexadecimal. */
export function printField(of: Layout, name: string, meaning: Meaning, value: Value): string {
  if (typeof value === "string") return handle(value);
  switch (meaning.kind) {
    case "flags":
      return named(Number(value), { kind: "bits", names: meaning.bits }) ?? printValue(value);
    case "iova":
    case "length":
      return hex(value);
    case "user-address":
    case "pointer":
      return address(BigInt(value));
  }
  const names = namesOfField(of.name, name);
  return (names && named(Number(value), names)) ?? printValue(value);
}

/** In hexadecimal, but for 0. */
export function hex(value: Value): string {
  if (typeof value === "string") return handle(value);
  const sign = value < 0 ? "-" : "";
  return value === 0 || value === 0n ? "0" : `${sign}0x${value.toString(16).replace("-", "")}`;
}

function address(at: bigint): string {
  const within = (start: bigint, size: number): boolean => at >= start && at < start + BigInt(size);
  if (within(MEMORY.user, MEMORY.userSize)) return `<memory${offset(at - MEMORY.user)}>`;
  if (within(MEMORY.userReadonly, MEMORY.userReadonlySize))
    return `<read-only memory${offset(at - MEMORY.userReadonly)}>`;
  return at === 0n ? "NULL" : hex(at);
}

function offset(bytes: bigint): string {
  return bytes === 0n ? "" : `+${hex(bytes)}`;
}

/** Bytes in hexadecimal, the zeros at the end left out: `[43 48 53 32]`. */
export function printData(bytes: ArrayLike<number>): string {
  let end = bytes.length;
  while (end > 1 && bytes[end - 1] === 0) end--;
  const shown = Array.from({ length: end }, (_, i) => (bytes[i] ?? 0).toString(16).padStart(2, "0"));
  return `[${shown.join(" ")}${end < bytes.length ? " 00…" : ""}]`;
}

/** Text in double quotes, escaped as C does. */
export function quote(text: string): string {
  return JSON.stringify(text);
}
