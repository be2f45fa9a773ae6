/**
 * Arguments for ioctls, made from what the fields of their layouts mean. Mostly right; a share of them wrong on purpose,
 * one thing at a time, because the first wrong thing hides the others.
 */
import { MEMORY, PAGE } from "../../model/kernel/memory-map.ts";
import type { FieldValue, Place, StructArgument } from "../../model/program.ts";
import type { Layout, Meaning } from "../../model/uapi/layout.ts";
import { U64_MAX } from "../../model/uapi/u64.ts";
import { type Dice, oneIn, pick } from "./dice.ts";
import { type Handles, kindBits } from "./handles.ts";

/** Lengths in pages that programs mostly map. */
const PAGES = [1, 1, 2, 4, 16];
/** Where they mostly map, in pages; few enough that ranges meet. */
const IOVA_PAGES = [0, 1, 2, 4, 8, 16, 0x100, 0x8000, 0xfee00];
/** The same where mocks can reach it, which is from 16 MiB on and up to 2 GiB. */
const FIRST_MOCK_PAGE = 0x1000;
const MOCK_IOVA_PAGES = [
  FIRST_MOCK_PAGE,
  FIRST_MOCK_PAGE,
  0x1001,
  0x1002,
  0x1004,
  0x1008,
  0x1010,
  0x8000,
  0x7ffff,
  0xfff,
];
/** Where they map besides, so that many mappings find room. */
const MANY_IOVA_PAGES = 8192;

/** A struct with every field as its meaning wants it. */
export function rightStruct(dice: Dice, layout: Layout, handles: Handles, owner: object | null): StructArgument {
  const fields: Record<string, FieldValue> = {};
  for (const field of layout.fields) {
    const value = rightValue(dice, field.meaning, layout, handles, owner);
    if (value !== 0) fields[field.name] = value;
  }
  const mapped = mappedField(layout);
  if (mapped && !oneIn(dice, 4)) fillMapped(dice, mapped, fields, handles, owner);
  const { trailing } = layout;
  if (trailing) {
    const count = dice.roll((trailing.most ?? 3) + 1);
    const elements = [];
    for (let i = 0; i < count; i++) {
      const value = rightValue(dice, trailing.meaning, layout, handles, owner);
      elements.push(typeof value === "string" || typeof value === "number" ? value : 0);
    }
    fields[trailing.name] = elements;
    if (trailing.count !== undefined) fields[trailing.count] = count;
    if (typeof fields["argsz"] === "number") fields["argsz"] = layout.size + count * trailing.width;
  }
  return { fields };
}

/** The fields of a struct that together say what is mapped where. */
interface MappedFields {
  readonly iova: string;
  readonly ioas: string;
  readonly length: string | undefined;
}

const mappedFields = new WeakMap<Layout, MappedFields | null>();

function mappedField(layout: Layout): MappedFields | null {
  const known = mappedFields.get(layout);
  if (known !== undefined) return known;
  let found: MappedFields | null = null;
  for (const { name, meaning } of layout.fields) {
    if (meaning.kind !== "iova" || meaning.mappedIn === undefined) continue;
    const length = layout.fields.find((field) => field.meaning.kind === "length")?.name;
    found = { iova: name, ioas: meaning.mappedIn, length };
  }
  mappedFields.set(layout, found);
  return found;
}

/** Fills a struct with a mapping that is there: all of it, or sometimes its first page. */
function fillMapped(
  dice: Dice,
  { iova, ioas, length }: MappedFields,
  fields: Record<string, FieldValue>,
  handles: Handles,
  owner: object | null,
): void {
  const mapping = handles.mapping(dice, owner);
  if (!mapping) return;
  fields[iova] = mapping.iova;
  fields[ioas] = mapping.ioas;
  if (length !== undefined) fields[length] = oneIn(dice, 8) ? PAGE : mapping.length;
}

const bits = new WeakMap<readonly string[], number>();

/** The kinds of file that a field takes, as bits. */
function bitsOf(kinds: readonly string[]): number {
  let known = bits.get(kinds);
  if (known === undefined) {
    known = kindBits(kinds);
    bits.set(kinds, known);
  }
  return known;
}

function rightValue(
  dice: Dice,
  meaning: Meaning,
  layout: Layout,
  handles: Handles,
  owner: object | null,
): Exclude<FieldValue, readonly unknown[]> {
  switch (meaning.kind) {
    case "argsz":
      return layout.size;
    case "flags": {
      const bits = Object.values(meaning.bits);
      if (bits.length === 0) return 0;
      if (meaning.usual && !oneIn(dice, 10)) return pick(dice, meaning.usual);
      let flags = 0;
      for (const bit of bits) if (oneIn(dice, 2)) flags |= bit;
      return flags >>> 0;
    }
    case "value":
      // The plain one half of the time.
      return oneIn(dice, 2) ? (meaning.values[0] ?? 0) : pick(dice, meaning.values);
    case "fd":
      return handles.ofKind(dice, bitsOf(meaning.of))?.handle ?? -1;
    case "id":
      if (meaning.orNone && oneIn(dice, 2)) return 0;
      return handles.id(dice, meaning.of, owner) ?? 1;
    case "iova": {
      const named = oneIn(dice, 3) ? handles.id(dice, ["iova"], owner) : undefined;
      if (named !== undefined) return named;
      const forMocks = handles.hasMocks && !oneIn(dice, 6);
      const page = oneIn(dice, 3)
        ? dice.roll(MANY_IOVA_PAGES) + (forMocks ? FIRST_MOCK_PAGE : 0)
        : pick(dice, forMocks ? MOCK_IOVA_PAGES : IOVA_PAGES);
      return page * PAGE + halfPage(dice, handles);
    }
    case "length":
      return pick(dice, PAGES) * PAGE - halfPage(dice, handles);
    case "user-address":
      return userAddress(dice) + BigInt(halfPage(dice, handles));
    case "pointer":
      // What lies in the program's own memory is as it may be, mostly zeros.
      return oneIn(dice, 24)
        ? userAddress(dice) + BigInt(dice.roll(PAGE))
        : rightStruct(dice, meaning.to, handles, owner);
    case "reserved":
    case "out":
      return 0;
  }
}

/** Now and then half a page, which is the smallest that mocks can map; nothing where there are none. */
function halfPage(dice: Dice, { hasMocks }: Handles): number {
  return hasMocks && oneIn(dice, 5) ? PAGE / 2 : 0;
}

/** Memory to map: mostly plain, some of it read-only, some of it ending in a hole. */
function userAddress(dice: Dice): bigint {
  switch (dice.roll(16)) {
    case 0:
      return MEMORY.userReadonly + BigInt(dice.roll(8) * PAGE);
    case 1:
      return MEMORY.user + BigInt(MEMORY.userSize - (1 + dice.roll(2)) * PAGE);
    default:
      return MEMORY.user + BigInt(dice.roll(64) * PAGE);
  }
}

/** The struct with one thing about it wrong. */
export function spoil(dice: Dice, layout: Layout, right: StructArgument, handles: Handles): StructArgument {
  switch (dice.roll(4)) {
    case 0:
      return { ...right, place: badPlace(dice, layout) };
    case 1:
      return badSize(dice, layout, right);
    default:
      return badField(dice, layout, right, handles);
  }
}

/** A place where the struct can't be read, can't be written, or ends too early. */
export function badPlace(dice: Dice, layout: Layout): Place {
  switch (dice.roll(5)) {
    case 0:
      return "null";
    case 1:
      return "unmapped";
    case 2:
    case 3:
      return "readonly";
    default:
      return dice.roll(layout.size);
  }
}

/** One short, one long, much too long with a tail that is zero or not, or nothing at all. */
function badSize(dice: Dice, layout: Layout, right: StructArgument): StructArgument {
  const sized = layout.fields.find((field) => field.meaning.kind === "argsz");
  if (!sized) return { ...right, place: badPlace(dice, layout) };
  const withSize = (size: number, tail?: readonly number[]): StructArgument => {
    const fields = { ...right.fields, [sized.name]: size };
    return tail ? { ...right, fields, tail } : { ...right, fields };
  };
  switch (dice.roll(6)) {
    case 0:
      return withSize(0);
    case 1:
      return withSize(layout.size - 1);
    case 2: {
      const optional = layout.fields.find((field) => field.optional);
      return withSize(optional ? optional.offset : layout.size - 4);
    }
    case 3:
      return withSize(layout.size + 8, [0, 0, 0, 0, 0, 0, 0, 0]);
    case 4:
      return withSize(layout.size + 8, [0, 0, 0, 0, 0, 0, 0, 1]);
    default:
      return withSize(layout.size + 1, [dice.roll(2)]);
  }
}

function badField(dice: Dice, layout: Layout, right: StructArgument, handles: Handles): StructArgument {
  const field = pick(dice, layout.fields);
  const value = badValue(dice, field.meaning, field.width, right.fields[field.name], handles);
  return { ...right, fields: { ...right.fields, [field.name]: value } };
}

function badValue(
  dice: Dice,
  meaning: Meaning,
  width: number,
  value: FieldValue | undefined,
  handles: Handles,
): FieldValue {
  switch (meaning.kind) {
    case "argsz":
      return dice.roll(64);
    case "flags": {
      const flags = typeof value === "number" ? value : 0;
      return (flags ^ (1 << dice.roll(32))) >>> 0;
    }
    case "fd":
      switch (dice.roll(4)) {
        case 0:
          return -1;
        case 1:
          return 900;
        case 2:
          return handles.closed.length > 0 ? pick(dice, handles.closed) : -1;
        default:
          return handles.files.length > 0 ? pick(dice, handles.files).handle : -1;
      }
    case "id":
      return handles.named.length > 0 && oneIn(dice, 2)
        ? pick(dice, handles.named).handle
        : pick(dice, [0, 77, 0x7fffffff]);
    case "iova":
    case "length":
    case "user-address":
      return pick(dice, [
        0,
        1,
        PAGE - 1,
        PAGE + 1,
        U64_MAX,
        U64_MAX - 1n,
        U64_MAX - BigInt(PAGE - 1),
        1n << 48n,
        1n << 63n,
      ]);
    case "pointer":
      if (typeof value === "object" && "fields" in value) {
        return oneIn(dice, 2)
          ? { ...value, place: badPlace(dice, meaning.to) }
          : badField(dice, meaning.to, { fields: value.fields }, handles);
      }
      return 0;
    case "value":
    case "reserved":
    case "out":
      if (width === 8) return pick(dice, [1, U64_MAX]);
      return width === 4 ? pick(dice, [1, 2, 0x8000_0000, 0xffff_ffff]) : pick(dice, [1, 2, 0xff]);
  }
}
