import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { allIoctls } from "../kernel/ioctl.ts";
import type { Call, FieldValue, Program, StructArgument, Value } from "../program.ts";
import type { Layout } from "../uapi/layout.ts";
import { formatProgram, ProgramFileError, parseProgram } from "./program-file.ts";

/** Handles that the first calls of every program make. */
const HANDLES = ["@iommufd0", "@kvm-vfio1"];
const opening: readonly Call[] = HANDLES.map((as) => ({ op: "eventfd", as }));

const anyValue: fc.Arbitrary<Value> = fc.oneof(
  fc.integer(),
  fc.constantFrom(...HANDLES),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
);
const anyPlace = fc.constantFrom<StructArgument["place"]>("null", "unmapped", "readonly", 7, undefined);

function anyStruct(layout: Layout): fc.Arbitrary<StructArgument> {
  const fields: Record<string, fc.Arbitrary<FieldValue>> = {};
  for (const { name, meaning } of layout.fields) {
    fields[name] = meaning.kind === "pointer" ? fc.oneof(anyStruct(meaning.to), anyValue) : anyValue;
  }
  if (layout.trailing) fields[layout.trailing.name] = fc.array(anyValue, { maxLength: 3 });
  const tail = fc.option(fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 9 }), { nil: undefined });
  return fc.record({ fields: fc.record(fields, { requiredKeys: [] }), place: anyPlace, tail }).map(withoutUndefined);
}

function withoutUndefined({
  fields,
  place,
  tail,
}: {
  readonly fields: Partial<Record<string, FieldValue>>;
  readonly place: StructArgument["place"];
  readonly tail: readonly number[] | undefined;
}): StructArgument {
  const set: Record<string, FieldValue> = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) set[name] = value;
  return { fields: set, ...(place === undefined ? {} : { place }), ...(tail === undefined ? {} : { tail }) };
}

const anyIoctl: fc.Arbitrary<Call> = fc.constantFrom(...allIoctls()).chain(({ name: request, argument }) => {
  const arg =
    argument.kind === "struct"
      ? anyStruct(argument.layout).map((struct) => ({ kind: "struct", struct }) as const)
      : anyValue.map((value) => ({ kind: "value", value }) as const);
  return fc.record({ op: fc.constant("ioctl" as const), fd: anyValue, request: fc.constant(request), arg });
});

const anyOther: fc.Arbitrary<Call> = fc.oneof(
  fc.record({ op: fc.constant("close" as const), fd: anyValue }),
  fc.record({
    op: fc.constantFrom("pread" as const, "pwrite" as const),
    fd: anyValue,
    count: fc.nat(64),
    offset: anyValue,
  }),
  fc.constantFrom<Call>(
    { op: "open", node: { kind: "cdev", device: "nic0.0" }, flags: 1, as: "@device9" },
    { op: "sysfs-write", attribute: { kind: "driver_override", device: "nic0.0" }, text: { text: 'a\n"b"' } },
    { op: "sysfs-read", attribute: { kind: "available_instances", parent: "mtty", type: "mtty-1" } },
    { op: "probe", probe: { kind: "pinned" } },
    { op: "probe", probe: { kind: "locked" } },
    { op: "memfd", size: 4096, as: "@memfd0" },
    { op: "memfd", size: 4096, sealed: true, as: "@memfd1" },
    { op: "poll", fd: "@iommufd0" },
    { op: "lseek", fd: "@iommufd0", offset: -1, whence: 2 },
    { op: "probe", probe: { kind: "tainted" } },
    { op: "probe", probe: { kind: "asleep", device: "nic0.0" } },
    { op: "capset", without: ["CAP_IPC_LOCK", "CAP_SYS_RAWIO"] },
    { op: "prlimit", resource: "RLIMIT_MEMLOCK", soft: 4096, hard: (1n << 64n) - 1n },
  ),
);

const anyProgram: fc.Arbitrary<Program> = fc
  .array(fc.oneof({ weight: 3, arbitrary: anyIoctl }, anyOther), { maxLength: 6 })
  .map((calls) => ({ machine: "reference", calls: [...opening, ...calls] }));

const small = formatProgram({ machine: "reference", calls: opening });
/** The file with calls in place of its own. */
const withCalls = (...calls: readonly unknown[]): string => JSON.stringify({ ...JSON.parse(small), calls });
const refusal = (text: string): string => {
  try {
    parseProgram(text, "p.json");
  } catch (thrown) {
    if (thrown instanceof ProgramFileError) return thrown.message;
    throw thrown;
  }
  return "was read";
};

describe("a program file", () => {
  it("brings back the program that was written", () => {
    fc.assert(
      fc.property(anyProgram, (program) => {
        expect(parseProgram(formatProgram(program), "p")).toEqual(program);
      }),
    );
  });

  it("has a call on each line", () => {
    expect(small.split("\n")).toEqual([
      "{",
      '  "format": "vfio-conformance/program",',
      '  "version": 1,',
      '  "machine": "reference",',
      '  "calls": [',
      '    { "op": "eventfd", "as": "@iommufd0" },',
      '    { "op": "eventfd", "as": "@kvm-vfio1" }',
      "  ]",
      "}",
      "",
    ]);
  });

  it("is refused where it is something else, older or newer", () => {
    expect(refusal("{")).toMatch(/^p\.json is no JSON: /);
    expect(refusal("[]")).toMatch(/^p\.json is no program file: /);
    expect(refusal('{"format": "vfio-conformance/results", "version": 1}')).toMatch(/is no program file/);
    expect(refusal(small.replace('"version": 1', '"version": 2'))).toMatch(/version 2 .* use a newer suite\.$/);
    expect(refusal(small.replace('"version": 1', '"version": 0'))).toMatch(
      /version 0 .* use the suite that wrote it\.$/,
    );
  });

  it("is refused where something in it has no meaning, and says which call", () => {
    expect(refusal(withCalls({ op: "close", fd: 1, speed: 3 }))).toMatch(/^p\.json: call 0: .*speed/);
    expect(refusal(withCalls({ op: "vfork" }))).toMatch(/^p\.json: call 0, op: /);
    expect(refusal(withCalls({ op: "close", fd: "group0" }))).toMatch(/^p\.json: call 0, fd: expected a whole number/);
    expect(refusal(withCalls({ op: "close", fd: 1.5 }))).toMatch(/^p\.json: call 0, fd: /);
    expect(refusal(withCalls({ op: "close", fd: 2 ** 60 }))).toMatch(/^p\.json: call 0, fd: /);
  });

  it("is refused where it names what is not there", () => {
    const ioctl = (request: string, fields: unknown, more = {}) => ({
      op: "ioctl",
      fd: 3,
      request,
      arg: { kind: "struct", struct: { fields, ...more } },
    });
    expect(refusal(withCalls({ op: "close", fd: "@group0" }))).toBe(
      "p.json: call 0 (close) uses @group0, which no earlier call makes.",
    );
    expect(refusal(withCalls(opening[0], ioctl("VFIO_FROBNICATE", {})))).toBe(
      "p.json: call 1 (VFIO_FROBNICATE) is an ioctl that this suite does not know.",
    );
    expect(refusal(withCalls(ioctl("VFIO_GROUP_GET_STATUS", { speed: 1 })))).toBe(
      "p.json: call 0 (VFIO_GROUP_GET_STATUS) sets speed, which struct vfio_group_status has not.",
    );
    expect(refusal(withCalls(ioctl("VFIO_DEVICE_RESET", {})))).toMatch(/takes no struct/);
    expect(refusal(withCalls(ioctl("VFIO_GROUP_GET_STATUS", { flags: [1] })))).toMatch(/has a list for flags/);
    expect(refusal(withCalls(ioctl("VFIO_GROUP_GET_STATUS", {}, { tail: new Array(250).fill(0) })))).toMatch(
      /more than 256 bytes/,
    );
  });
});
