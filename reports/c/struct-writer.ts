/** An ioctl with a struct as C: the struct before, the call, the struct as it should be after. */
import { isStruct } from "../../model/kernel/encode.ts";
import { findIoctl } from "../../model/kernel/ioctl.ts";
import type { Call, Place, StructArgument, Value } from "../../model/program.ts";
import { type Field, type Layout, readNumber, type Trailing } from "../../model/uapi/layout.ts";
import { structName } from "./declarations.ts";
import type { Expectation } from "./expectations.ts";
import { isChosen, isNowhere, placed, readableAt } from "./placing.ts";
import type { Style } from "./style.ts";
import { cType, indent, type Names } from "./syntax.ts";
import { ioctlExpression } from "./system-call.ts";
import type { Values } from "./values.ts";

/** A struct that a field points to, and the variable that it was made from. */
interface PointedBlock {
  readonly layout: Layout;
  readonly argument: StructArgument;
  readonly index: number;
  readonly variable: string;
}

interface Pointed {
  /** Declarations of the variables. */
  readonly lines: readonly string[];
  /** Addresses by the fields that have them. */
  readonly addresses: ReadonlyMap<string, string>;
  readonly blocks: readonly PointedBlock[];
}

export class StructWriter {
  readonly #call: Call & { op: "ioctl" };
  readonly #struct: StructArgument;
  readonly #layout: Layout;
  readonly #index: number;
  readonly #values: Values;
  readonly #names: Names;
  readonly #style: Style;
  /** Blocks that structs behind pointers took. */
  nested = 0;

  constructor(call: Call & { op: "ioctl" }, index: number, values: Values, names: Names, style: Style) {
    const shape = findIoctl(call.request)?.argument;
    if (call.arg.kind !== "struct" || shape?.kind !== "struct") throw new Error(`${call.request} takes no struct`);
    this.#call = call;
    this.#struct = call.arg.struct;
    this.#layout = shape.layout;
    this.#index = index;
    this.#values = values;
    this.#names = names;
    this.#style = style;
  }

  /** The process that makes the call. */
  get #by(): string | undefined {
    return this.#call.by === undefined ? undefined : this.#names.of(this.#call.by);
  }

  lines(fd: string, expectation: Expectation | null): string[] {
    const { place } = this.#struct;
    const mapped = mappedBytes(place, this.#size);
    const compared = Math.min(mapped, expectation?.bytes?.length ?? 0);
    const pointed = this.#pointed(this.#layout, this.#struct);
    const result = this.#style.result(expectation, isChosen(this.#call, expectation));
    if (isNowhere(place)) {
      const at = placed(place, this.#index, "", "");
      return [`ret = ${ioctlExpression(this.#call, this.#by, fd, at)};`, ...result];
    }
    const changes = expectation?.bytes ? this.#changes(expectation, expectation.bytes.subarray(0, compared)) : [];
    const body = [
      ...pointed.lines,
      ...this.#declaration(pointed.addresses),
      ...(compared > 0 ? [`${this.#type} expected = arg;`] : []),
      `unsigned long at = ${placed(place, this.#index, "&arg", `${this.#size}`)};`,
      "",
      `ret = ${ioctlExpression(this.#call, this.#by, fd, "at")};`,
      ...(mapped > 0 ? [`get(&arg, at, ${mapped});`] : []),
      ...this.#bound(mapped),
      ...result,
      ...(compared > 0 ? [...changes, ...this.#style.struct(this.#layout, this.#path, compared)] : []),
      ...pointed.blocks.flatMap((block, i) => this.#comparison(block, expectation?.pointed?.[i])),
    ];
    this.#hold(expectation);
    return ["{", ...indent(body), "}"];
  }

  /** Elements behind the struct. */
  get #elements(): readonly Value[] {
    const { trailing } = this.#layout;
    const elements = trailing && this.#struct.fields[trailing.name];
    return Array.isArray(elements) ? elements : [];
  }

  get #tail(): readonly number[] {
    return this.#struct.tail ?? [];
  }

  /** Whether the struct is followed by anything, and so is wrapped in another. */
  get #wrapped(): boolean {
    return this.#elements.length > 0 || this.#tail.length > 0;
  }

  get #path(): string {
    return this.#wrapped ? ".head" : "";
  }

  get #size(): number {
    return this.#layout.size + this.#elements.length * (this.#layout.trailing?.width ?? 0) + this.#tail.length;
  }

  get #type(): string {
    return this.#wrapped ? "__typeof__(arg)" : structName(this.#layout);
  }

  /** Structs that fields point to, as variables before the main one. */
  #pointed(layout: Layout, { fields }: StructArgument): Pointed {
    const lines: string[] = [];
    const blocks: PointedBlock[] = [];
    const addresses = new Map<string, string>();
    for (const field of layout.fields) {
      const value = fields[field.name];
      if (!isStruct(value) || field.meaning.kind !== "pointer") continue;
      const at = this.#index + 1 + this.nested++;
      const variable = `${field.name}_to`;
      const inner = this.#initializer(field.meaning.to, value, new Map());
      if (!isNowhere(value.place)) lines.push(...assignment(`${structName(field.meaning.to)} ${variable}`, inner));
      addresses.set(field.name, placed(value.place, at, `&${variable}`, `${field.meaning.to.size}`));
      blocks.push({ layout: field.meaning.to, argument: value, index: at, variable });
    }
    return { lines, addresses, blocks };
  }

  /** What a pointer leads to, as it should be and as it is after the call. */
  #comparison({ layout, argument, index, variable }: PointedBlock, bytes: Uint8Array | undefined): string[] {
    const { place, fields } = argument;
    if (!bytes || bytes.length === 0 || isNowhere(place)) return [];
    const changes: string[] = [];
    for (const field of layout.fields) {
      const given = fields[field.name] ?? 0;
      if (field.offset + field.width > bytes.length || isStruct(given) || isList(given)) continue;
      const after = read(bytes, field);
      if (BigInt.asUintN(8 * field.width, this.#values.worth(given)) === BigInt.asUintN(8 * field.width, after))
        continue;
      changes.push(`expected.${field.name} = ${this.#values.expected(after, field)};`);
    }
    const type = structName(layout);
    return [
      "{",
      ...indent([
        `${type} expected = ${variable}, arg = expected;`,
        "",
        `get(&arg, ${readableAt(place, index)}, ${bytes.length});`,
        ...changes,
        ...this.#style.struct(layout, "", bytes.length),
      ]),
      "}",
    ];
  }

  #initializer(layout: Layout, { fields }: StructArgument, addresses: ReadonlyMap<string, string>): string[] {
    const lines: string[] = [];
    for (const field of layout.fields) {
      const address = addresses.get(field.name);
      const value = fields[field.name];
      if (address !== undefined) lines.push(`.${field.name} = ${address},`);
      else if (value !== undefined && !isStruct(value) && !isList(value)) {
        lines.push(`.${field.name} = ${this.#values.ofField(value, field, layout)},`);
      }
    }
    return lines;
  }

  #declaration(addresses: ReadonlyMap<string, string>): string[] {
    const head = this.#initializer(this.#layout, this.#struct, addresses);
    if (!this.#wrapped) return assignment(`${structName(this.#layout)} arg`, head);
    const members = [`${structName(this.#layout)} head;`];
    const values = [".head = {", ...indent(head), "},"];
    const { trailing } = this.#layout;
    if (trailing && this.#elements.length > 0) {
      members.push(`${cType(trailing.width, trailing.signed)} ${trailing.name}[${this.#elements.length}];`);
      const elements = this.#elements.map((element) => this.#values.ofElement(element, trailing));
      values.push(`.${trailing.name} = { ${elements.join(", ")} },`);
    }
    if (this.#tail.length > 0) {
      members.push(`uint8_t tail[${this.#tail.length}];`);
      values.push(`.tail = { ${this.#tail.join(", ")} },`);
    }
    return ["struct {", ...indent(members), "} __attribute__((packed)) arg = {", ...indent(values), "};"];
  }

  /** Handles take what the struct brought. */
  #bound(mapped: number): string[] {
    const lines: string[] = [];
    for (const field of this.#layout.fields) {
      const handle = this.#call.binds?.[field.name];
      if (handle === undefined || field.offset + field.width > mapped) continue;
      lines.push(`\t${this.#names.of(handle)} = arg${this.#path}.${field.name};`);
    }
    if (this.#call.as !== undefined) lines.unshift(`\t${this.#names.of(this.#call.as)} = ret;`);
    if (lines.length === 0) return [];
    return lines.length === 1 ? ["if (ret >= 0)", ...lines] : ["if (ret >= 0) {", ...lines, "}"];
  }

  #hold(expectation: Expectation | null): void {
    if (!expectation || expectation.ret < 0) return;
    if (this.#call.as !== undefined) this.#values.hold(this.#call.as, BigInt(expectation.ret));
    const { bytes } = expectation;
    if (!bytes) return;
    for (const field of this.#layout.fields) {
      const handle = this.#call.binds?.[field.name];
      if (handle !== undefined && field.offset + field.width <= bytes.length) {
        this.#values.hold(handle, read(bytes, field));
      }
    }
  }

  /** Assignments that make of the struct before the call what it should be after. */
  #changes(expectation: Expectation, bytes: Uint8Array): string[] {
    const lines: string[] = [];
    for (const field of this.#layout.fields) {
      if (field.offset + field.width > bytes.length) break;
      const given = this.#struct.fields[field.name];
      if (isStruct(given)) continue;
      const target = `expected${this.#path}.${field.name}`;
      if (this.#mayChoose(field, expectation)) {
        lines.push(`${target} = arg${this.#path}.${field.name}; /* the kernel's choice */`);
        continue;
      }
      const before = isList(given) || given === undefined ? 0n : this.#values.worth(given);
      const after = read(bytes, field);
      if (BigInt.asUintN(8 * field.width, before) === BigInt.asUintN(8 * field.width, after)) continue;
      lines.push(`${target} = ${this.#values.expected(after, field)};`);
    }
    return [...lines, ...this.#changesBehind(bytes)];
  }

  #mayChoose({ name, offset }: Field, { ret, chosen }: Expectation): boolean {
    if (ret < 0) return false;
    if (this.#call.binds?.[name] !== undefined) return true;
    return (chosen ?? []).some((site) => site.at === "field" && site.offset === offset);
  }

  /** What the kernel wrote behind the struct: lists of devices, which are of this machine, and capabilities. */
  #changesBehind(bytes: Uint8Array): string[] {
    const lines: string[] = [];
    const { trailing, size } = this.#layout;
    let at = size;
    for (const [i, element] of this.#elements.entries()) {
      if (!trailing || at + trailing.width > bytes.length) return lines;
      const after = readAt(bytes, at, trailing);
      const member = `${trailing.name}[${i}]`;
      if (
        BigInt.asUintN(8 * trailing.width, this.#values.worth(element)) !== BigInt.asUintN(8 * trailing.width, after)
      ) {
        lines.push(`expected.${member} = moved ? arg.${member} : 0x${after.toString(16)};`);
      }
      at += trailing.width;
    }
    for (const [i, before] of this.#tail.entries()) {
      const after = bytes[at + i];
      if (after !== undefined && after !== before) lines.push(`expected.tail[${i}] = 0x${after.toString(16)};`);
    }
    return lines;
  }
}

function assignment(variable: string, initializer: readonly string[]): string[] {
  if (initializer.length === 0) return [`${variable} = { 0 };`];
  return [`${variable} = {`, ...indent(initializer), "};"];
}

function isList(value: unknown): value is readonly Value[] {
  return Array.isArray(value);
}

/** Bytes of the struct that can be read back. */
function mappedBytes(place: Place | undefined, size: number): number {
  if (place === "null" || place === "unmapped") return 0;
  return typeof place === "number" ? Math.min(place, size) : size;
}

function read(bytes: Uint8Array, { offset, width, signed }: Field): bigint {
  return readAt(bytes, offset, { width, signed });
}

function readAt(bytes: Uint8Array, at: number, { width, signed }: Pick<Trailing, "width" | "signed">): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return width === 8 ? view.getBigUint64(at, true) : BigInt(readNumber(view, at, width, signed));
}
