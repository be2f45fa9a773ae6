/** Outcomes as strace would print them: what a call returned, and the fields of its struct that the kernel wrote. */
import "../machine.ts";
import { isStruct } from "../kernel/encode.ts";
import { findIoctl } from "../kernel/ioctl.ts";
import type { Call, Outcome, StructArgument } from "../program.ts";
import { errnoName } from "../uapi/errno.ts";
import { type Field, type Layout, readNumber } from "../uapi/layout.ts";
import { POLL } from "../uapi/poll.ts";
import { named } from "./names.ts";
import { printData, printField, printValue, quote } from "./values.ts";

/**
 * `-1 EINVAL`, `0 {flags=VIABLE|CONTAINER_SET}`, `0 "vfio-pci"`: the result, then what came with it, and as strace has it
 * `(INJECTED)` where an allocation failed that was asked to.
 */
export function printOutcome(call: Call, { ret, bytes, pointed, text, failed }: Outcome): string {
  if (call.op === "load" || call.op === "store") return ret < 0 ? errnoName(-ret) : printLoaded(bytes);
  const result = ret < 0 ? `-1 ${errnoName(-ret)}` : printResult(call, ret);
  const parts = [result];
  if (bytes && (call.op === "read" || call.op === "pread")) {
    if (ret > 0) parts.push(printData(bytes.subarray(0, ret)));
  } else if (bytes) {
    const brought = printBytes(call, bytes, pointed ?? [], ret >= 0);
    if (brought) parts.push(brought);
  }
  if (text !== undefined) parts.push(printText(call, text));
  if (failed) parts.push("(INJECTED)");
  return parts.join(" ");
}

/** What was loaded, where that is known, as a number. */
function printLoaded(bytes: Uint8Array | undefined): string {
  if (!bytes || bytes.length === 0) return "done";
  return `0x${Buffer.from(bytes).reverse().toString("hex")}`;
}

function printResult(call: Call, ret: number): string {
  if (call.op === "mmap") return `0x${ret.toString(16)}`;
  if (call.op === "poll") return named(ret, { kind: "bits", names: POLL }) ?? String(ret);
  return call.op === "probe" && (call.probe.kind === "pinned" || call.probe.kind === "locked")
    ? `${ret} kB`
    : String(ret);
}

function printText(call: Call, text: string): string {
  const isList = call.op === "probe" && (call.probe.kind === "mdevs" || call.probe.kind === "group-members");
  return isList ? `[${text.split("\n").filter(Boolean).join(", ")}]` : quote(text);
}

/** The fields that the kernel wrote: where the call succeeded every one that is for output, and any that changed. */
function printBytes(
  call: Call,
  bytes: Uint8Array,
  pointed: readonly Uint8Array[],
  succeeded: boolean,
): string | undefined {
  if (call.op !== "ioctl" || call.arg.kind !== "struct") return undefined;
  const shape = findIoctl(call.request)?.argument;
  if (shape?.kind !== "struct") return undefined;
  const { layout } = shape;
  const view = viewOf(bytes);
  const blocks = pointed[Symbol.iterator]();
  const parts: string[] = [];
  for (const field of layout.fields) {
    if (field.offset + field.width > bytes.length) break;
    const given = call.arg.struct.fields[field.name];
    if (field.meaning.kind === "pointer" && isStruct(given)) {
      const brought = printPointed(field.meaning.to, given, blocks);
      if (brought) parts.push(`${field.name}=${brought}`);
    }
    const value = read(view, field);
    if (!isWritten(field, value, call.arg.struct, call.binds?.[field.name] !== undefined, succeeded)) continue;
    parts.push(`${field.name}=${printField(layout, field.name, field.meaning, value)}`);
  }
  const entries = printEntries(layout, view);
  if (entries) parts.push(entries);
  return parts.length > 0 ? `{${parts.join(", ")}}` : undefined;
}

/** The fields up to the last one that changed; undefined where none did. */
function printPointed(layout: Layout, argument: StructArgument, blocks: Iterator<Uint8Array>): string | undefined {
  const bytes = blocks.next().value;
  if (!bytes) return undefined;
  const view = viewOf(bytes);
  const parts: string[] = [];
  let changed = 0;
  for (const field of layout.fields) {
    const given = argument.fields[field.name];
    if (field.meaning.kind === "pointer" && isStruct(given)) {
      const brought = printPointed(field.meaning.to, given, blocks);
      if (!brought) continue;
      changed = parts.push(`${field.name}=${brought}`);
    } else if (field.offset + field.width <= bytes.length) {
      const value = read(view, field);
      const length = parts.push(`${field.name}=${printField(layout, field.name, field.meaning, value)}`);
      if (isWritten(field, value, argument, false, false)) changed = length;
    }
  }
  return changed > 0 ? `{${parts.slice(0, changed).join(", ")}}` : undefined;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function read(view: DataView, { offset, width, signed }: Field): number | bigint {
  return width === 8 ? view.getBigUint64(offset, true) : readNumber(view, offset, width, signed);
}

function isWritten(
  { name, width, meaning }: Field,
  value: number | bigint,
  { fields }: StructArgument,
  bound: boolean,
  succeeded: boolean,
): boolean {
  if (meaning.kind === "pointer") return false;
  if (succeeded && (bound || meaning.kind === "out")) return true;
  const given = fields[name] ?? 0;
  if (typeof given !== "number" && typeof given !== "bigint") return false;
  return BigInt.asUintN(8 * width, BigInt(given)) !== BigInt.asUintN(8 * width, BigInt(value));
}

/** Elements after the struct that are for output, as far as the caller had room for them. */
function printEntries({ name, size, trailing }: Layout, view: DataView): string | undefined {
  if (trailing?.meaning.kind !== "out") return undefined;
  const entries: string[] = [];
  for (let at = size; at + trailing.width <= view.byteLength; at += trailing.width) {
    if (name === "vfio_pci_hot_reset_info") entries.push(dependentDevice(view, at));
    else if (trailing.width === 8) entries.push(printValue(view.getBigUint64(at, true)));
    else entries.push(printValue(readNumber(view, at, trailing.width, trailing.signed)));
  }
  return entries.length > 0 ? `${trailing.name}=[${entries.join(", ")}]` : undefined;
}

/** struct vfio_pci_dependent_device: a group number or id, and the function's address. */
function dependentDevice(view: DataView, at: number): string {
  const pad = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");
  const devfn = view.getUint8(at + 7);
  const bus = `${pad(view.getUint16(at + 4, true), 4)}:${pad(view.getUint8(at + 6), 2)}`;
  return `{${view.getInt32(at, true)}, ${bus}:${pad(devfn >> 3, 2)}.${devfn & 7}}`;
}
