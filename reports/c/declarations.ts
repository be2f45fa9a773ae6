/** Structs, ioctl numbers and constants of a program, as its own definitions: no kernel header is needed. */
import { namesOfArgument, namesOfField } from "../../model/format/names.ts";
import { isStruct } from "../../model/kernel/encode.ts";
import { findIoctl } from "../../model/kernel/ioctl.ts";
import type { Call, Program, StructArgument } from "../../model/program.ts";
import type { Layout } from "../../model/uapi/layout.ts";
import { cType } from "./syntax.ts";

/** The C name of a struct. What the kernel takes as a plain int is a struct with one field. */
export function structName({ name }: Layout): string {
  return name === "int" ? "struct int_argument" : `struct ${name}`;
}

/** Layouts that a program's structs have, those that others point to first. */
export function layoutsOf({ calls }: Program): Layout[] {
  const found = new Set<Layout>();
  const add = (layout: Layout, argument: StructArgument): void => {
    for (const field of layout.fields) {
      const value = argument.fields[field.name];
      if (isStruct(value) && field.meaning.kind === "pointer") add(field.meaning.to, value);
    }
    found.add(layout);
  };
  for (const call of calls) {
    const layout = layoutOf(call);
    if (layout && call.op === "ioctl" && call.arg.kind === "struct") add(layout, call.arg.struct);
  }
  return [...found];
}

/** The layout of an ioctl's struct, or undefined. */
export function layoutOf(call: Call): Layout | undefined {
  const shape = call.op === "ioctl" ? findIoctl(call.request)?.argument : undefined;
  return shape?.kind === "struct" ? shape.layout : undefined;
}

export function structDefinition(layout: Layout): string {
  const fields = layout.fields.map(({ name, width, signed }) => `\t${cType(width, signed)} ${name};`);
  const { trailing } = layout;
  if (trailing) fields.push(`\t/* ${cType(trailing.width, trailing.signed)} ${trailing.name}[] follows */`);
  return `${structName(layout)} {\n${fields.join("\n")}\n};\n`;
}

/** Names and places of a struct's fields, to say which of them differs. */
export function fieldTable(layout: Layout): string {
  const rows = layout.fields.map(({ name, offset, width }) => `\t{ "${name}", ${offset}, ${width} },`);
  return `static const struct field ${fieldTableName(layout)}[] = {\n${rows.join("\n")}\n\t{ NULL, 0, 0 }\n};\n`;
}

export function fieldTableName({ name }: Layout): string {
  return `${name}_fields`;
}

/** #defines of the program's ioctls. */
export function ioctlNumbers({ calls }: Program): string[] {
  const requests = new Set(calls.flatMap((call) => (call.op === "ioctl" ? [call.request] : [])));
  return [...requests].map((name) => `#define ${name}\t${requestNumber(findIoctl(name)?.request ?? 0)}`);
}

function requestNumber(request: number): string {
  const nr = request & 0xff;
  const type = (request >>> 8) & 0xff;
  const size = (request >>> 16) & 0x3fff;
  const direction = request >>> 30;
  const letter = type === 0x3b ? "';'" : `0x${type.toString(16)}`;
  if (direction === 0 && size === 0) return `_IO(${letter}, ${nr})`;
  const directions = ["_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ | _IOC_WRITE"];
  return `_IOC(${directions[direction]}, ${letter}, ${nr}, ${size})`;
}

/** #defines of flags and types that the text has as words. */
export function constants(program: Program, text: string): string[] {
  const known = new Map<string, number>();
  for (const layout of layoutsOf(program)) {
    for (const { name, meaning } of layout.fields) {
      const names = namesOfField(layout.name, name);
      if (meaning.kind === "flags") for (const [bit, value] of Object.entries(meaning.bits)) known.set(bit, value);
      if (names?.kind === "values") for (const [value, number] of Object.entries(names.names)) known.set(value, number);
    }
  }
  for (const call of program.calls) {
    const names = call.op === "ioctl" ? namesOfArgument(call.request) : undefined;
    if (names) for (const [value, number] of Object.entries(names.names)) known.set(value, number);
  }
  return [...known]
    .filter(([name]) => new RegExp(`\\b${name}\\b`).test(text))
    .map(([name, value]) => `#define ${name}\t${value}`);
}
