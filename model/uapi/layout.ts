/**
 * Struct layouts of the uAPI headers, as data, with one codec for all of them.
 *
 * A field says where it lies, how wide it is, and what it *means* (a file descriptor of some kind, an object id, flags,
 * …). The meaning is what generators, shrinkers and printers work from, so that a new ioctl needs none of its own.
 */

export type Width = 1 | 2 | 4 | 8;

/** What a field means to those who fill or read it. */
export type Meaning =
  /** size of the struct as the caller knows it */
  | { readonly kind: "argsz" }
  /** a set of known bits; `usual` are combinations that mean something, where not every one does */
  | {
      readonly kind: "flags";
      readonly bits: Readonly<Record<string, number>>;
      readonly usual?: readonly number[];
    }
  /** one of some values worth trying; the first is the plain one */
  | { readonly kind: "value"; readonly values: readonly (number | bigint)[] }
  /** an open file of one of these kinds */
  | { readonly kind: "fd"; readonly of: readonly string[] }
  /** the id of an object, such as an IOAS; zero where it is about none */
  | { readonly kind: "id"; readonly of: readonly string[]; readonly orNone?: true }
  /** an I/O virtual address; `placed` is where something is to be mapped, which the call brings; `mappedIn` names the field
   * with the IOAS in which something is mapped there */
  | { readonly kind: "iova"; readonly placed?: true; readonly mappedIn?: string }
  | { readonly kind: "length" }
  /** an address in the program's own memory */
  | { readonly kind: "user-address" }
  /** a pointer to another struct */
  | { readonly kind: "pointer"; readonly to: Layout }
  /** must be zero */
  | { readonly kind: "reserved" }
  /** written by the kernel, ignored as input; `handle` names the kind of object whose id it becomes */
  | { readonly kind: "out"; readonly handle?: string };

export interface Field {
  readonly name: string;
  readonly offset: number;
  readonly width: Width;
  readonly signed: boolean;
  readonly meaning: Meaning;
  /** The caller may leave these fields out by an argsz that ends before them (they came later). */
  readonly optional: boolean;
}

/** A run of equal elements after the fixed part, such as the group fds of a hot reset. */
export interface Trailing {
  readonly name: string;
  readonly width: Width;
  readonly signed: boolean;
  readonly meaning: Meaning;
  /** The field that counts the elements, where there is one besides argsz. */
  readonly count?: string;
  /** How many elements generators make at the most; 3 unless told. */
  readonly most?: number;
}

export interface Layout {
  readonly name: string;
  /** sizeof, in bytes */
  readonly size: number;
  readonly fields: readonly Field[];
  readonly trailing?: Trailing;
}

/** A field before its place in the struct is known. */
export interface FieldSpec {
  readonly width: Width;
  readonly signed?: boolean;
  readonly meaning: Meaning;
  readonly optional?: boolean;
}

/** Lays fields out in order, each naturally aligned, as the C compiler does; the size is rounded up to the widest. */
export function layout(name: string, specs: Readonly<Record<string, FieldSpec>>, trailing?: Trailing): Layout {
  let offset = 0;
  let widest = 1;
  const fields: Field[] = [];
  for (const [fieldName, spec] of Object.entries(specs)) {
    offset = Math.ceil(offset / spec.width) * spec.width;
    fields.push({
      name: fieldName,
      offset,
      width: spec.width,
      signed: spec.signed ?? false,
      meaning: spec.meaning,
      optional: spec.optional ?? false,
    });
    offset += spec.width;
    widest = Math.max(widest, spec.width);
  }
  const size = Math.ceil(offset / widest) * widest;
  return trailing ? { name, size, fields, trailing } : { name, size, fields };
}

/**
 * An array of so many equal structs, as a pointer may lead to. Its fields have the number of their element behind their
 * names: `start_0`, `last_0`, `start_1`, ...
 */
export function arrayOf(element: Layout, count: number): Layout {
  const fields: Field[] = [];
  for (let i = 0; i < count; i++) {
    for (const field of element.fields) {
      fields.push({ ...field, name: `${field.name}_${i}`, offset: i * element.size + field.offset });
    }
  }
  return { name: `${element.name}_x${count}`, size: count * element.size, fields };
}

/** The offset just past a field: the kernel's offsetofend(). */
export function offsetOfEnd(of: Layout, fieldName: string): number {
  const field = fieldOf(of, fieldName);
  return field.offset + field.width;
}

/** The field of that name. It is a mistake of the model's author to ask for one that is not there. */
export function fieldOf(of: Layout, fieldName: string): Field {
  const field = of.fields.find((candidate) => candidate.name === fieldName);
  if (!field) throw new Error(`struct ${of.name} has no field ${fieldName}`);
  return field;
}

/** Reads a little-endian value of up to four bytes as a number. */
export function readNumber(view: DataView, offset: number, width: Width, signed: boolean): number {
  switch (width) {
    case 1:
      return signed ? view.getInt8(offset) : view.getUint8(offset);
    case 2:
      return signed ? view.getInt16(offset, true) : view.getUint16(offset, true);
    case 4:
      return signed ? view.getInt32(offset, true) : view.getUint32(offset, true);
    case 8:
      return Number(view.getBigUint64(offset, true));
  }
}

/** Bytes as the number that they are in memory: the lowest first. */
export function numberIn(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** Writes a little-endian value, truncated to the width as a C assignment would. */
export function writeValue(view: DataView, offset: number, width: Width, value: number | bigint): void {
  switch (width) {
    case 1:
      view.setUint8(offset, Number(value));
      break;
    case 2:
      view.setUint16(offset, Number(value), true);
      break;
    case 4:
      view.setUint32(offset, Number(value), true);
      break;
    case 8:
      if (typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER) {
        // In two halves, so that no bigint is made.
        view.setUint32(offset, value >>> 0, true);
        view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
      } else {
        view.setBigUint64(offset, BigInt.asUintN(64, BigInt(value)), true);
      }
      break;
  }
}

const u = (width: Width, meaning: Meaning): FieldSpec => ({ width, meaning });

/** Shorthands for the fields that most structs are made of. */
export const field = {
  argsz: (): FieldSpec => u(4, { kind: "argsz" }),
  flags: (bits: Readonly<Record<string, number>> = {}, ...usual: readonly number[]): FieldSpec =>
    u(4, usual.length > 0 ? { kind: "flags", bits, usual } : { kind: "flags", bits }),
  value16: (...values: readonly number[]): FieldSpec => u(2, { kind: "value", values }),
  value32: (...values: readonly number[]): FieldSpec => u(4, { kind: "value", values }),
  value64: (...values: readonly (number | bigint)[]): FieldSpec => u(8, { kind: "value", values }),
  fd: (...of: readonly string[]): FieldSpec => ({ width: 4, signed: true, meaning: { kind: "fd", of } }),
  id: (...of: readonly string[]): FieldSpec => u(4, { kind: "id", of }),
  idOrNone: (...of: readonly string[]): FieldSpec => u(4, { kind: "id", of, orNone: true }),
  iova: (): FieldSpec => u(8, { kind: "iova" }),
  placedIova: (): FieldSpec => u(8, { kind: "iova", placed: true }),
  mappedIova: (ioas: string): FieldSpec => u(8, { kind: "iova", mappedIn: ioas }),
  length: (): FieldSpec => u(8, { kind: "length" }),
  userAddress: (): FieldSpec => u(8, { kind: "user-address" }),
  pointer: (to: Layout): FieldSpec => u(8, { kind: "pointer", to }),
  reserved16: (): FieldSpec => u(2, { kind: "reserved" }),
  reserved32: (): FieldSpec => u(4, { kind: "reserved" }),
  out32: (handle?: string): FieldSpec => u(4, handle ? { kind: "out", handle } : { kind: "out" }),
  out64: (): FieldSpec => u(8, { kind: "out" }),
  /** The same field, but one that older callers do not know. */
  later: (spec: FieldSpec): FieldSpec => ({ ...spec, optional: true }),
} as const;
